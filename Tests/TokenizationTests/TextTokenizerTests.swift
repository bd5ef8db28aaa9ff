import Embeddings
import Testing
import Tokenization

struct TextTokenizerTests {
    @Test(arguments: [(9, false), (10, false), (11, true)])
    func aTextIsCutOnlyOverTheLimit(wordCount: Int, isTruncated: Bool) throws {
        let tokenizer = try Definition().tokenizer(["sentence_bert_config.json": #"{"max_seq_length":12}"#])
        let sequence = tokenizer.encode(Array(repeating: "b", count: wordCount).joined(separator: " "))
        #expect(sequence.isTruncated == isTruncated)
        #expect(sequence.ids == [2] + Array(repeating: 6, count: min(wordCount, 10)) + [3])
    }

    @Test func theLimitIsTheFirstThatIsStatedAndNeverAboveThePositions() throws {
        func limit(_ files: [String: String]) throws -> Int {
            try Definition().tokenizer(files).maximumSequenceLength
        }
        let sentenceBERT = ["sentence_bert_config.json": #"{"max_seq_length":256}"#]
        let tokenizer = ["tokenizer_config.json": #"{"model_max_length":300}"#]
        let boundless = ["tokenizer_config.json": #"{"model_max_length":1000000000000000019884624838656}"#]
        let positions = ["config.json": #"{"max_position_embeddings":512}"#]
        let fewPositions = ["config.json": #"{"max_position_embeddings":128}"#]
        #expect(try limit(sentenceBERT.merging(tokenizer) { $1 }) == 256)
        #expect(try limit(tokenizer.merging(positions) { $1 }) == 300)
        #expect(try limit(boundless.merging(positions) { $1 }) == 512)
        #expect(try limit(sentenceBERT.merging(fewPositions) { $1 }) == 128)
        #expect(try limit([:]) == 512)
    }

    @Test func aLargeTextIsCutLikeItsBeginning() throws {
        let tokenizer = try Definition().tokenizer()
        let start = "a aab b, "
        let large = tokenizer.encode(String(repeating: start, count: 120_000))
        #expect(large.isTruncated)
        #expect(large.ids == tokenizer.encode(String(repeating: start, count: 300)).ids)
        #expect(large.ids.count == 512)
    }

    @Test func aLargeTextIsReadToItsEndWhereTheLimitAllowsIt() throws {
        let tokenizer = try Definition().tokenizer(["config.json": #"{"max_position_embeddings":2000000}"#])
        let sequence = tokenizer.encode(String(repeating: "a b ", count: 262_144))
        #expect(!sequence.isTruncated)
        #expect(sequence.ids.count == 2 * 262_144 + 2)
    }

    @Test(arguments: [(100, false), (101, true)])
    func aWordIsUnknownAsAWholeOverItsLimit(length: Int, isUnknown: Bool) throws {
        let tokenizer = try Definition().tokenizer()
        let ids = tokenizer.encode(String(repeating: "á", count: length)).ids
        #expect(ids == (isUnknown ? [2, 1, 3] : [2, 4] + Array(repeating: 5, count: length - 1) + [3]))
        #expect(tokenizer.encode(String(repeating: "a", count: 1 << 20)).ids == [2, 1, 3])
    }

    @Test func templateAndBertProcessingGiveTheSame() throws {
        let template = """
            {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},
            {"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[],
            "special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},
            "[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}}
            """
        let processed = try Definition().tokenizer().encode("a b")
        #expect(try Definition(postProcessor: template).tokenizer().encode("a b") == processed)
        #expect(processed.ids == [2, 4, 6, 3])
        #expect(try Definition(postProcessor: "null").tokenizer().encode("a b").ids == [4, 6])
    }

    @Test func aSequenceIsNeverEmpty() throws {
        #expect(try Definition(postProcessor: "null").tokenizer().encode(" ").ids == [1])
    }

    @Test func idsOfTheVocabularyGetSpecialTokensAndTheSameCut() throws {
        let tokenizer = try Definition().tokenizer(["config.json": #"{"max_position_embeddings":4}"#])
        #expect(try tokenizer.encode(tokenIDs: [4, 6]) == TokenSequence(ids: [2, 4, 6, 3]))
        #expect(try tokenizer.encode(tokenIDs: [4, 6, 8]) == TokenSequence(ids: [2, 4, 6, 3], isTruncated: true))
        #expect(throws: UnknownTokenID(id: 10, vocabularySize: 10)) { try tokenizer.encode(tokenIDs: [4, 10, -1]) }
        #expect(throws: UnknownTokenID(id: -1, vocabularySize: 10)) { try tokenizer.encode(tokenIDs: [-1]) }
    }

    @Test func addedTokensCountForTheVocabularyAndAreNumberedBehindIt() throws {
        let added = """
            [{"id":77,"content":"<x>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}]
            """
        let tokenizer = try Definition(addedTokens: added).tokenizer()
        #expect(tokenizer.vocabularySize == 11)
        #expect(tokenizer.encode("a<x>b").ids == [2, 4, 10, 6, 3])
    }

    @Test func piecesThatLookAlikeAreDifferentPieces() throws {
        let model = """
            {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
            "vocab":{"[UNK]":1,"\\u00e9":4,"e\\u0301":5}}
            """
        let normalizer = """
            {"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":false,"lowercase":true}
            """
        let tokenizer = try Definition(normalizer: normalizer, model: model).tokenizer()
        #expect(tokenizer.encode("\u{e9} e\u{301}").ids == [2, 4, 5, 3])
    }

    @Test func promptsStandBeforeTheTextOfTheirRole() throws {
        let prompts = [
            "config_sentence_transformers.json":
                #"{"prompts":{"query":"query: ","passage":"doc: "},"default_prompt_name":"passage"}"#
        ]
        let tokenizer = try Definition().tokenizer(prompts)
        #expect(tokenizer.encode("b", role: .query) == TokenSequence(ids: [2, 7, 8, 6, 3]))
        #expect(tokenizer.encode("b", role: .plain).ids == [2, 9, 8, 6, 3])
        #expect(tokenizer.encode("b", role: .document).ids == [2, 6, 3])
        let excluding = try Definition().tokenizer(prompts, excludesPromptFromPooling: true)
        #expect(excluding.encode("b", role: .query).unpooledPrefix == 3)
        #expect(excluding.encode("b", role: .document).unpooledPrefix == 0)
    }

    @Test func lowerCaseOfSentenceTransformersComesFirst() throws {
        let normalizer = """
            {"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":false}
            """
        let definition = Definition(normalizer: normalizer)
        #expect(try definition.tokenizer().encode("A").ids == [2, 1, 3])
        let files = ["sentence_bert_config.json": #"{"do_lower_case":true}"#]
        #expect(try definition.tokenizer(files).encode("A").ids == [2, 4, 3])
    }
}
