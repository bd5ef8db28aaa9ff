/// The pieces of a WordPiece model: a word is read from its start, each time the longest piece that is known.
struct WordPieceVocabulary: Sendable {
    let unknownID: Int32
    /// Words of more Unicode scalars are unknown.
    let maximumWordLength: Int
    /// Entries, as Hugging Face counts them when it numbers added tokens.
    let count: Int
    /// The largest id plus one.
    let size: Int

    /// Pieces that start a word below `root`, pieces that go on with one, less their prefix, below `secondRoot`.
    private let trie: ByteTrie

    /// Reads `model` of a tokenizer.json.
    init(_ model: ModelFile) throws(TokenizerError) {
        let type = try model.member("type").string()
        guard type == "WordPiece" else { throw model.unsupported(type) }
        let prefix = Array(try model.member("continuing_subword_prefix").string().utf8)
        maximumWordLength = try model.member("max_input_chars_per_word").count()
        let unknown = try model.member("unk_token")
        let pieces = try model.member("vocab")
        let members = try pieces.members()
        let byteCount = members.reduce(0) { $0 + $1.key.utf8.count }
        guard byteCount * 2 < ByteTrie.maximumNodeCount else { throw pieces.malformed("is too large") }

        var trie = ByteTrie(edgeCapacity: byteCount)
        var size = 0
        for (piece, value) in members {
            let id = try value.tokenID()
            size = max(size, Int(id) + 1)
            trie.insert(piece.utf8, id: id)
            if piece.utf8.starts(with: prefix) {
                trie.insert(piece.utf8.dropFirst(prefix.count), id: id, below: ByteTrie.secondRoot)
            }
        }
        guard let unknownID = trie.id(of: try unknown.string().utf8) else {
            throw unknown.malformed("'\(try unknown.string())' is not in the vocabulary")
        }
        self.unknownID = unknownID
        self.trie = trie
        self.size = size
        count = members.count
    }

    var byteCount: Int { trie.byteCount }

    /// The id of a piece by its whole text, the prefix of a continuing piece included.
    func id(of piece: String) -> Int32? { trie.id(of: piece.utf8) }

    /// Appends the pieces of a word that is not empty; or, where some part of it is no piece, the unknown token alone.
    func appendPieces(of word: Span<UInt8>, to ids: inout TokenBuffer) {
        guard isShortEnough(word) else { return ids.append(unknownID) }
        let restart = ids.count
        var position = 0
        var root = ByteTrie.root
        while position < word.count {
            guard let match = trie.longestMatch(in: word, from: position, below: root) else {
                ids.removeLast(ids.count - restart)
                return ids.append(unknownID)
            }
            ids.append(match.id)
            position = match.end
            root = ByteTrie.secondRoot
        }
    }

    private func isShortEnough(_ word: Span<UInt8>) -> Bool {
        guard word.count > maximumWordLength else { return true }
        var length = 0
        for index in word.indices where word[index] & 0xC0 != 0x80 { length += 1 }
        return length <= maximumWordLength
    }
}
