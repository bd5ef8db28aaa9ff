/// A token that is looked for in the text itself, before the text is cut into words.
struct AddedToken: Sendable, Equatable {
    let content: String
    /// Matches only where no word goes on at either side.
    let isSingleWord: Bool
    /// White space before it belongs to it.
    let stripsLeft: Bool
    let stripsRight: Bool
    /// It is looked for, normalized, in the normalized text; else as it is in the raw text.
    let isNormalized: Bool
    let isSpecial: Bool

    /// Reads one entry of `added_tokens`.
    init(_ entry: ModelFile) throws(TokenizerError) {
        content = try entry.member("content").string()
        isSingleWord = try entry.member("single_word").bool()
        stripsLeft = try entry.member("lstrip").bool()
        stripsRight = try entry.member("rstrip").bool()
        isNormalized = try entry.member("normalized").bool()
        isSpecial = try entry.member("special").bool()
    }
}

/// All added tokens of a tokenizer with the ids that Hugging Face gives them: that of the vocabulary where the content
/// stands there, else the next free one. The file's own `id` is not looked at, there as here.
struct AddedTokens: Sendable {
    let raw: AddedTokenMatcher
    let normalized: AddedTokenMatcher
    /// The largest id plus one; 0 where there are none.
    let size: Int

    private let ids: ByteTrie

    init(
        _ entries: [ModelFile], vocabulary: WordPieceVocabulary, normalizer: BertNormalizer
    ) throws(TokenizerError) {
        var ids = ByteTrie()
        var tokens: [Int32: AddedToken] = [:]
        var next = Int32(clamping: vocabulary.count)
        for entry in entries {
            let token = try AddedToken(entry)
            if token.content.isEmpty { continue }
            guard token.content.utf8.count < 1 << 16 else { throw entry.malformed("is too long") }
            let id: Int32
            if let known = ids.id(of: token.content.utf8) ?? vocabulary.id(of: token.content) {
                id = known
            } else {
                id = next
                next += 1
            }
            ids.insert(token.content.utf8, id: id)
            tokens[id] = token
        }
        self.ids = ids
        size = tokens.keys.max().map { Int($0) + 1 } ?? 0
        let sorted = tokens.sorted { $0.key < $1.key }
        raw = AddedTokenMatcher(
            sorted.filter { !$0.value.isNormalized }.map { ($0.key, $0.value, Array($0.value.content.utf8)) })
        normalized = AddedTokenMatcher(
            sorted.filter { $0.value.isNormalized }.map { id, token in
                var text = NormalizedText()
                normalizer.normalize(Array(token.content.utf8).span, into: &text)
                return (id, token, text.bytes)
            })
    }

    func id(of content: String) -> Int32? { ids.id(of: content.utf8) }
}

/// Finds added tokens in a text: leftmost first, of those the longest, none overlapping.
struct AddedTokenMatcher: Sendable {
    enum Piece {
        case text(Range<Int>)
        case token(Int32)
    }

    private var trie = ByteTrie()
    private var tokens: [Int32: AddedToken] = [:]
    /// What patterns start with.
    private var starts = ByteSet()
    private var startsAndSpace = ByteSet()

    /// Of equal patterns the first one counts (Hugging Face takes any); an empty one never matches.
    init(_ patterns: [(id: Int32, token: AddedToken, pattern: [UInt8])]) {
        for (id, token, pattern) in patterns {
            guard let first = pattern.first, trie.id(of: pattern) == nil else { continue }
            trie.insert(pattern, id: id)
            tokens[id] = token
            starts.insert(first)
            startsAndSpace.insert(first)
        }
        startsAndSpace.insert(0x20)
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// Hands out tokens and the text between them, in order, until `body` says false. Text may be handed out in parts,
    /// cut before a space, once `partLength` bytes of it are known to hold no token.
    func forEachPiece(in bytes: Span<UInt8>, partLength: Int = .max, _ body: (Piece) -> Bool) {
        var covered = 0
        var position = 0
        while !isEmpty, position < bytes.count {
            let (partEnd, overflows) = covered.addingReportingOverflow(partLength)
            let end = overflows ? bytes.count : min(partEnd, bytes.count)
            if position < end { position = starts.firstIndex(in: bytes, from: position, to: end) }
            if position >= end { position = startsAndSpace.firstIndex(in: bytes, from: position, to: bytes.count) }
            guard position < bytes.count else { break }
            let byte = bytes[position]
            if byte == 0x20, position - covered >= partLength {
                guard body(.text(covered..<position)) else { return }
                covered = position
            }
            guard starts.contains(byte), let match = trie.longestMatch(in: bytes, from: position, below: ByteTrie.root),
                let token = tokens[match.id]
            else {
                position += 1
                continue
            }
            let matched = position..<match.end
            position = match.end
            if token.isSingleWord, continuesWord(at: matched, in: bytes) { continue }
            let start =
                token.stripsLeft
                ? max(whitespaceStart(before: matched.lowerBound, in: bytes), covered)
                : matched.lowerBound
            if covered < start {
                guard body(.text(covered..<start)) else { return }
            }
            guard body(.token(match.id)) else { return }
            // May lie before what an earlier token's stripping covered, as it does in Hugging Face's loop.
            covered = token.stripsRight ? whitespaceEnd(after: matched.upperBound, in: bytes) : matched.upperBound
        }
        if covered < bytes.count { _ = body(.text(covered..<bytes.count)) }
    }

    private func continuesWord(at range: Range<Int>, in bytes: Span<UInt8>) -> Bool {
        if let (scalar, _) = scalarBefore(range.lowerBound, in: bytes),
            ScalarProperties.shared[scalar].contains(.wordCharacter)
        {
            return true
        }
        var end = range.upperBound
        return end < bytes.count
            && ScalarProperties.shared[decodeScalar(in: bytes, at: &end)].contains(.wordCharacter)
    }

    private func whitespaceStart(before end: Int, in bytes: Span<UInt8>) -> Int {
        var start = end
        while let (scalar, place) = scalarBefore(start, in: bytes),
            ScalarProperties.shared[scalar].contains(.whitespace)
        {
            start = place
        }
        return start
    }

    private func whitespaceEnd(after start: Int, in bytes: Span<UInt8>) -> Int {
        var end = start
        while end < bytes.count {
            var next = end
            guard ScalarProperties.shared[decodeScalar(in: bytes, at: &next)].contains(.whitespace) else { break }
            end = next
        }
        return end
    }
}
