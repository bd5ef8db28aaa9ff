import Embeddings

/// The texts that stand before a text, by what the text is for.
///
/// As sentence-transformers (6.2) resolves them: `encode_query` takes the prompt "query" and `encode_document` the prompt
/// "document", neither ever the default prompt or one of another name, since it adds both names, empty, to every model.
struct Prompts: Sendable, Equatable {
    var plain = ""
    var query = ""
    var document = ""

    init() {}

    /// Reads a config_sentence_transformers.json.
    init(_ file: ModelFile) throws(TokenizerError) {
        var texts: [String: String] = ["query": "", "document": ""]
        if let prompts = file["prompts"] {
            for (name, _) in try prompts.members() { texts[name] = try prompts[name]?.string() ?? "" }
        }
        query = texts["query"] ?? ""
        document = texts["document"] ?? ""
        if let name = file["default_prompt_name"] {
            guard let text = texts[try name.string()] else {
                throw name.malformed("'\(try name.string())' is not among the prompts")
            }
            plain = text
        }
    }

    subscript(role: TextRole) -> String {
        switch role {
        case .plain: plain
        case .query: query
        case .document: document
        }
    }
}
