import Embeddings

/// A run of a job's inputs, with its lease.
struct MemorySegment: Sendable {
    enum State: Sendable, Equatable {
        case available
        case running(token: Int64, expiresAt: Timestamp)
        case done(at: Timestamp)
    }

    /// The most that one segment holds; a longer text is a segment alone.
    static let maximumInputCount = 256
    static let maximumByteCount = 512 << 10

    let id: Int64
    let inputs: Range<Int>
    let byteCount: Int
    var state = State.available
    /// Names the claim that leased it last.
    var claimID: String?
    /// How often it was leased.
    var attempt = 0
    /// Before then nobody leases it.
    var runAt: Timestamp

    func isClaimable(at now: Timestamp) -> Bool { state == .available && runAt <= now }

    func isLeased(with token: Int64) -> Bool {
        if case .running(token, _) = state { true } else { false }
    }

    func isExpired(at now: Timestamp) -> Bool {
        if case .running(_, let expiresAt) = state { expiresAt < now } else { false }
    }

    /// Parts texts, given by their lengths, into runs that fit a segment each.
    static func runs(of byteCounts: [Int], from first: Int) -> [(inputs: Range<Int>, byteCount: Int)] {
        var runs: [(inputs: Range<Int>, byteCount: Int)] = []
        for (place, count) in byteCounts.enumerated() {
            let index = first + place
            if let last = runs.last, last.inputs.count < maximumInputCount, last.byteCount + count <= maximumByteCount {
                runs[runs.count - 1] = (last.inputs.lowerBound..<index + 1, last.byteCount + count)
            } else {
                runs.append((index..<index + 1, count))
            }
        }
        return runs
    }
}
