/// The tokens that the post-processor puts before and behind a text.
struct SpecialTokens: Sendable, Equatable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []

    var count: Int { prefix.count + suffix.count }

    /// Reads `post_processor` of a tokenizer.json; nil, or JSON's null, puts nothing.
    init(_ processor: ModelFile?) throws(TokenizerError) {
        guard let processor else { return }
        let type = try processor.member("type").string()
        switch type {
        case "TemplateProcessing": try read(template: processor)
        case "BertProcessing":
            prefix = [try Self.id(ofPair: try processor.member("cls"))]
            suffix = [try Self.id(ofPair: try processor.member("sep"))]
        default: throw processor.unsupported(type)
        }
    }

    /// Reads the template for one text; that for pairs is not used.
    private mutating func read(template: ModelFile) throws(TokenizerError) {
        let single = try template.member("single")
        let known = try template.member("special_tokens")
        var textCount = 0
        for piece in try single.elements() {
            if let sequence = piece["Sequence"] {
                try Self.requireFirstSegment(sequence)
                guard try sequence.member("id").string() == "A" else { throw piece.unsupported("with a second text") }
                textCount += 1
            } else {
                let token = try piece.member("SpecialToken")
                try Self.requireFirstSegment(token)
                let name = try token.member("id").string()
                guard let entry = known[name] else { throw known.malformed("lacks '\(name)'") }
                for id in try entry.member("ids").elements() {
                    if textCount == 0 { prefix.append(try id.tokenID()) } else { suffix.append(try id.tokenID()) }
                }
            }
        }
        guard textCount == 1 else { throw single.unsupported("with the text \(textCount) times") }
    }

    /// The encoder gives every token the first segment's type embedding.
    private static func requireFirstSegment(_ piece: ModelFile) throws(TokenizerError) {
        let type = try piece.member("type_id").count()
        guard type == 0 else { throw piece.unsupported("with type_id \(type)") }
    }

    /// Of `["[SEP]", 102]`, the number.
    private static func id(ofPair pair: ModelFile) throws(TokenizerError) -> Int32 {
        let elements = try pair.elements()
        guard elements.count == 2 else { throw pair.malformed("is not a token and its id") }
        return try elements[1].tokenID()
    }
}
