/// Byte strings to token ids, walked byte by byte: the longest known prefix of a text is found in one pass, without
/// making a string of any part of it.
///
/// One open-addressing table holds every edge: (node, byte) → node.
struct ByteTrie: Sendable {
    struct Node: Equatable {
        fileprivate let index: UInt32
    }

    /// A second set of byte strings can share the table below another root.
    static let root = Node(index: 1)
    static let secondRoot = Node(index: 2)
    /// 24 bits of an edge's key hold the node, 8 the byte.
    static let maximumNodeCount = 1 << 24

    /// Key in the upper half, child in the lower; 0 is free, since a key's node is at least 1.
    private var edges: [UInt64]
    private var shift: UInt64
    private var edgeCount = 0
    /// (nodes): the id of the byte string that ends here, or -1.
    private var ids: [Int32] = [-1, -1, -1]

    /// Room for about `edgeCapacity` edges is made at once; more is made when needed.
    init(edgeCapacity: Int = 64) {
        let bits = max(6, Int.bitWidth - (edgeCapacity * 2).leadingZeroBitCount)
        edges = [UInt64](repeating: 0, count: 1 << bits)
        shift = UInt64(64 - bits)
    }

    /// Memory of the table and the ids.
    var byteCount: Int { edges.count * MemoryLayout<UInt64>.stride + ids.count * MemoryLayout<Int32>.stride }

    /// Nil where nothing that is known goes on with this byte.
    @inline(__always)
    func child(of node: Node, _ byte: UInt8) -> Node? {
        let key = node.index << 8 | UInt32(byte)
        var slot = place(of: key)
        while true {
            let edge = edges[slot]
            if UInt32(truncatingIfNeeded: edge >> 32) == key { return Node(index: UInt32(truncatingIfNeeded: edge)) }
            if edge == 0 { return nil }
            slot = (slot + 1) & (edges.count - 1)
        }
    }

    @inline(__always)
    func id(at node: Node) -> Int32? {
        let id = ids[Int(node.index)]
        return id >= 0 ? id : nil
    }

    func id(of text: some Sequence<UInt8>, below root: Node = ByteTrie.root) -> Int32? {
        var node = root
        for byte in text {
            guard let next = child(of: node, byte) else { return nil }
            node = next
        }
        return id(at: node)
    }

    /// The longest known byte string that stands at `start`, and where it ends; never an empty one.
    @inline(__always)
    func longestMatch(in bytes: Span<UInt8>, from start: Int, below root: Node) -> (end: Int, id: Int32)? {
        var node = root
        var match: (end: Int, id: Int32)?
        var position = start
        while position < bytes.count, let next = child(of: node, bytes[position]) {
            node = next
            position += 1
            if let id = id(at: node) { match = (position, id) }
        }
        return match
    }

    /// - Precondition: fewer than `maximumNodeCount` nodes come of it.
    mutating func insert(_ text: some Sequence<UInt8>, id: Int32, below root: Node = ByteTrie.root) {
        var node = root
        for byte in text {
            if let next = child(of: node, byte) {
                node = next
                continue
            }
            precondition(ids.count < Self.maximumNodeCount)
            let next = Node(index: UInt32(ids.count))
            ids.append(-1)
            if edgeCount * 2 >= edges.count { grow() }
            store(UInt64(node.index << 8 | UInt32(byte)) << 32 | UInt64(next.index))
            edgeCount += 1
            node = next
        }
        ids[Int(node.index)] = id
    }

    private func place(of key: UInt32) -> Int {
        // Fibonacci hashing: the upper bits of a multiple of 2^64 / φ.
        Int(truncatingIfNeeded: (UInt64(key) &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }

    private mutating func store(_ edge: UInt64) {
        var slot = place(of: UInt32(truncatingIfNeeded: edge >> 32))
        while edges[slot] != 0 { slot = (slot + 1) & (edges.count - 1) }
        edges[slot] = edge
    }

    private mutating func grow() {
        let old = edges
        edges = [UInt64](repeating: 0, count: old.count * 2)
        shift -= 1
        for edge in old where edge != 0 { store(edge) }
    }
}
