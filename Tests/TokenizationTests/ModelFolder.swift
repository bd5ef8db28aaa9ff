import Foundation
import JSON
import Tokenization

/// A model's folder in a temporary place, with nothing in it but what the tokenizer reads; gone with its last use.
final class ModelFolder {
    let path: String

    /// Contents by file name.
    init(_ files: [String: String]) throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "tokenizer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path()
        for (name, content) in files {
            try content.write(to: url.appending(path: name), atomically: false, encoding: .utf8)
        }
    }

    deinit {
        // A folder that stays behind in the temporary place does no harm.
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// A small tokenizer.json whose parts a test may replace, each written as JSON.
struct Definition {
    var addedTokens = "[]"
    var normalizer = """
        {"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}
        """
    var preTokenizer = #"{"type":"BertPreTokenizer"}"#
    var postProcessor = #"{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]}"#
    var model = """
        {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
        "vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"##a":5,"b":6,"query":7,":":8,"doc":9}}
        """

    var json: String {
        """
        {"version":"1.0","added_tokens":\(addedTokens),"normalizer":\(normalizer),"pre_tokenizer":\(preTokenizer),
        "post_processor":\(postProcessor),"decoder":{"type":"Unheard"},"model":\(model)}
        """
    }

    func tokenizer(
        _ otherFiles: [String: String] = [:], excludesPromptFromPooling: Bool = false
    ) throws -> TextTokenizer {
        let folder = try ModelFolder(otherFiles.merging(["tokenizer.json": json]) { $1 })
        return try TextTokenizer(directory: folder.path, excludesPromptFromPooling: excludesPromptFromPooling)
    }

    /// The tokenizer under a limit of its own, special tokens included.
    func tokenizer(limit: Int, wordCacheByteCount: Int) throws -> TextTokenizer {
        let folder = try ModelFolder([
            "tokenizer.json": json, "config.json": #"{"max_position_embeddings":\#(limit)}"#,
        ])
        return try TextTokenizer(directory: folder.path, wordCacheByteCount: wordCacheByteCount)
    }

    /// What the tokenizer says when it refuses this definition; nil where it takes it.
    func refusal(_ otherFiles: [String: String] = [:]) throws -> String? {
        do {
            _ = try tokenizer(otherFiles)
            return nil
        } catch let error as TokenizerError {
            return error.description
        }
    }
}
