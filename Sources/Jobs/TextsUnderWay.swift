package import Embeddings
import Synchronization

/// Texts that this process computes, or has computed and not yet stored, by the segment that does so: of segments that
/// are in hand together, one computes a text and the others take its vector.
///
/// A text
/// - is *computing* from the first `take`. Can go to: computed, orphaned.
/// - is *computed* from `publish`, and kept while its segment is not stored, while a segment waits for it, or while one
///   may have been loaded before it was stored. Then it is forgotten.
/// - is *orphaned* where its segment ended without it while others wait. Can go to: computing, by the first that asks.
package final class TextsUnderWay: Sendable {
    package struct Key: Hashable, Sendable {
        package let role: TextRole
        package let text: String

        package init(role: TextRole, text: String) {
            self.role = role
            self.text = text
        }
    }

    package enum Share: Equatable {
        /// The caller computes it.
        case own
        case other(Result<Embedding, ItemError>?)
    }

    fileprivate struct Entry {
        var owner: SegmentLease?
        var result: Result<Embedding, ItemError>?
        /// Segments that know of it and have not taken its result.
        var waiters: Set<SegmentLease> = []
        /// Segments that were being loaded when it was stored, and may not have seen it.
        var blindLoads: Set<SegmentLease> = []

        var isForgotten: Bool { owner == nil && waiters.isEmpty && (result == nil || blindLoads.isEmpty) }
    }

    fileprivate struct State {
        var entries: [Key: Entry] = [:]
        var loading: Set<SegmentLease> = []
        /// Every text that a segment asked for.
        var asked: [SegmentLease: Set<Key>] = [:]
        /// Stored, and kept for the sake of those being loaded.
        var kept: Set<Key> = []
    }

    // A mutex for one dictionary, never held across an await; the bell says that a text was published or orphaned.
    private let state = Mutex(State())
    package let changes = JobBell()

    package init() {}

    package var count: Int { state.withLock { $0.entries.count } }

    /// The segment's inputs are about to be read.
    package func beginLoading(_ segment: SegmentLease) {
        state.withLock { _ = $0.loading.insert(segment) }
    }

    /// Divides the texts of a segment that has been loaded. May be asked again for those that others compute.
    package func take(_ keys: [Key], for segment: SegmentLease) -> [Share] {
        state.withLock { state in
            defer { state.endLoading(segment) }
            state.asked[segment, default: []].formUnion(keys)
            return keys.map { key in
                var entry = state.entries[key] ?? Entry()
                defer { state.entries[key] = entry.isForgotten ? nil : entry }
                if let result = entry.result {
                    entry.waiters.remove(segment)
                    return .other(result)
                }
                if entry.owner == nil || entry.owner == segment {
                    entry.owner = segment
                    entry.waiters.remove(segment)
                    return .own
                }
                entry.waiters.insert(segment)
                return .other(nil)
            }
        }
    }

    package func publish(_ results: [(key: Key, result: Result<Embedding, ItemError>)]) {
        state.withLock { state in
            for (key, result) in results { state.entries[key]?.result = result }
        }
        changes.ring()
    }

    /// The segment is stored, or will not be by us.
    package func end(_ segment: SegmentLease) {
        state.withLock { state in
            state.endLoading(segment)
            for key in state.asked.removeValue(forKey: segment) ?? [] {
                guard var entry = state.entries[key] else { continue }
                entry.waiters.remove(segment)
                if entry.owner == segment {
                    entry.owner = nil
                    entry.blindLoads = state.loading
                }
                state.entries[key] = entry.isForgotten ? nil : entry
                if state.entries[key] != nil, entry.owner == nil { state.kept.insert(key) }
            }
        }
        changes.ring()
    }
}

extension TextsUnderWay.State {
    fileprivate mutating func endLoading(_ segment: SegmentLease) {
        guard loading.remove(segment) != nil else { return }
        for key in kept {
            guard var entry = entries[key] else {
                kept.remove(key)
                continue
            }
            entry.blindLoads.remove(segment)
            entries[key] = entry.isForgotten ? nil : entry
        }
    }
}
