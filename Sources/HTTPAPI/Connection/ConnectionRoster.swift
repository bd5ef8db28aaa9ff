import NIOCore
import Synchronization

/// The open connections, for when they become too many: a place that nobody uses is given to whoever comes. Without that,
/// as many silent connections as there are places would keep everybody else out.
final class ConnectionRoster: Sendable {
    private struct Entry {
        /// On the connection's own loop: closes it if it still is idle.
        let close: @Sendable () -> Void
        /// Nil while a request is under way, or once it was given notice.
        var idleSince: NIODeadline?
    }

    /// Open connections from which on newcomers take the place of the longest idle.
    private let threshold: Int
    /// A Mutex: one dictionary; nothing is closed while it is held.
    private let entries = Mutex<[ObjectIdentifier: Entry]>([:])

    /// - Parameter maximum: beyond it the system keeps newcomers waiting; some places below it are kept free for them.
    init(maximum: Int) {
        threshold = max(1, maximum - max(1, maximum / 16))
    }

    /// Takes a connection in, and gives notice to the longest idle of the others where there are many. True where it did.
    func enter(_ connection: ObjectIdentifier, now: NIODeadline, close: @escaping @Sendable () -> Void) -> Bool {
        let notified = entries.withLock { entries in
            let oldest = entries.count >= threshold ? Self.longestIdle(of: entries) : nil
            // Told once; where it is not idle any more, it will say when it is again.
            if let oldest { entries[oldest]?.idleSince = nil }
            entries[connection] = Entry(close: close, idleSince: now)
            return oldest.flatMap { entries[$0] }
        }
        notified?.close()
        return notified != nil
    }

    private static func longestIdle(of entries: [ObjectIdentifier: Entry]) -> ObjectIdentifier? {
        var oldest: (connection: ObjectIdentifier, since: NIODeadline)?
        for (connection, entry) in entries {
            guard let since = entry.idleSince else { continue }
            if let oldest, oldest.since <= since { continue }
            oldest = (connection, since)
        }
        return oldest?.connection
    }

    func leave(_ connection: ObjectIdentifier) {
        entries.withLock { _ = $0.removeValue(forKey: connection) }
    }

    /// - Parameter since: nil where a request is under way.
    func note(_ connection: ObjectIdentifier, idleSince since: NIODeadline?) {
        entries.withLock { $0[connection]?.idleSince = since }
    }
}
