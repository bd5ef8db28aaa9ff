import Testing
import Tokenization

/// What the tokenizer cannot read it refuses at load, by file and component.
struct RefusalTests {
    @Test(arguments: [
        (#"{"type":"Sequence","normalizers":[]}"#, "normalizer Sequence"), (#"{"type":"NFC"}"#, "normalizer NFC"),
    ])
    func otherNormalizersAreRefused(normalizer: String, name: String) throws {
        let refusal = try Definition(normalizer: normalizer).refusal()
        #expect(refusal == "tokenizer.json: \(name) is not supported")
    }

    @Test func otherPreTokenizersAreRefused() throws {
        let refusal = try Definition(preTokenizer: #"{"type":"ByteLevel"}"#).refusal()
        #expect(refusal == "tokenizer.json: pre_tokenizer ByteLevel is not supported")
        #expect(try Definition(preTokenizer: "null").refusal() == "tokenizer.json: pre_tokenizer is missing")
    }

    @Test func otherModelsAreRefused() throws {
        let refusal = try Definition(model: #"{"type":"BPE","vocab":{},"merges":[]}"#).refusal()
        #expect(refusal == "tokenizer.json: model BPE is not supported")
    }

    @Test func otherPostProcessorsAreRefused() throws {
        let refusal = try Definition(postProcessor: #"{"type":"RobertaProcessing"}"#).refusal()
        #expect(refusal == "tokenizer.json: post_processor RobertaProcessing is not supported")
    }

    @Test(arguments: [
        (
            #"[{"Sequence":{"id":"A","type_id":1}}]"#,
            "post_processor.single[0].Sequence with type_id 1 is not supported"
        ),
        (
            #"[{"Sequence":{"id":"B","type_id":0}}]"#,
            "post_processor.single[0] with a second text is not supported"
        ),
        ("[]", "post_processor.single with the text 0 times is not supported"),
        (
            #"[{"SpecialToken":{"id":"[CLS]","type_id":0}}]"#, "post_processor.special_tokens lacks '[CLS]'"
        ),
    ])
    func templatesThatAreNotOneTextAreRefused(single: String, reason: String) throws {
        let template = #"{"type":"TemplateProcessing","single":\#(single),"pair":[],"special_tokens":{}}"#
        #expect(try Definition(postProcessor: template).refusal() == "tokenizer.json: \(reason)")
    }

    @Test func anUnknownTokenOutsideTheVocabularyIsRefused() throws {
        let model = """
            {"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{}}
            """
        let refusal = try Definition(model: model).refusal()
        #expect(refusal == "tokenizer.json: model.unk_token '?' is not in the vocabulary")
    }

    @Test func missingSwitchesAndWrongTypesAreNamed() throws {
        let missing = try Definition(normalizer: #"{"type":"BertNormalizer","lowercase":true}"#).refusal()
        #expect(missing == "tokenizer.json: normalizer.clean_text is missing")
        let wrong = try Definition(addedTokens: #"[{"content":7}]"#).refusal()
        #expect(wrong == "tokenizer.json: added_tokens[0].content is a number, not a string")
    }

    @Test func aFolderWithoutTokenizerIsRefused() throws {
        let folder = try ModelFolder([:])
        #expect(throws: TokenizerError.self) { try TextTokenizer(directory: folder.path) }
        let broken = try Definition().refusal(["config.json": "{"])
        #expect(broken?.hasPrefix("config.json cannot be read") == true)
    }

    @Test func aLimitWithoutRoomForTextIsRefused() throws {
        #expect(try Definition().refusal(["config.json": #"{"max_position_embeddings":2}"#]) != nil)
        #expect(try Definition().refusal(["config.json": #"{"max_position_embeddings":3}"#]) == nil)
    }
}
