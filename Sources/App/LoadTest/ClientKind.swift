import ArgumentParser

/// One kind of clients of a load: how they ask, and for what.
package struct ClientKind: Sendable, Equatable {
    package enum Loop: Sendable, Equatable {
        /// So many users; each asks again when it has its answer.
        case closed(users: Int)
        /// So many requests a second, whatever becomes of them.
        case open(rate: Double)

        /// Connections that stand before a load begins.
        package var startConnectionCount: Int {
            switch self {
            case .closed(let users): users
            case .open: 4
            }
        }
    }

    package var name: String
    package var loop: Loop
    package var textsPerRequest: Int
    /// The body's `priority`; nil: none is sent.
    package var priority: String?
    /// What `X-Request-Timeout-Ms` says; nil: none is sent.
    package var deadlineMilliseconds: Int?
    /// Between an answer and a closed loop's user's next request.
    package var thinkMilliseconds = 0
    /// Texts of this kind's own; nil: those that all kinds share.
    package var texts: TextSource?
    /// A file with this kind's own API key.
    package var keyFile: String?

    package enum TextSource: Sendable, Equatable {
        case file(String)
        case words(LengthMix)
    }

    package static let usersRange = 1...4_096
    package static let rateRange = 0.001...100_000.0
    package static let textsRange = 1...16_384
    package static let deadlineRange = 1...3_600_000
    package static let thinkRange = 0...3_600_000
    /// Kinds of one load, each with a line in a chart.
    package static let maximumCount = 8
    private static let maximumNameLength = 32

    package init(
        name: String, loop: Loop, textsPerRequest: Int = 1, priority: String? = nil, deadlineMilliseconds: Int? = nil,
        keyFile: String? = nil
    ) {
        self.name = name
        self.loop = loop
        self.textsPerRequest = textsPerRequest
        self.priority = priority
        self.deadlineMilliseconds = deadlineMilliseconds
        self.keyFile = keyFile
    }

    /// Reads `bulk users=8 texts=32 priority=bulk`: a name, and what differs from one closed-loop user with one text.
    ///
    /// - Throws: a validation error that names the word and what it may be; the parser adds the option's name.
    package init(parsing text: String) throws {
        var words = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard let name = words.first, !name.contains("="), name.count <= Self.maximumNameLength else {
            throw ValidationError(
                "it begins with a name of up to \(Self.maximumNameLength) characters, as 'bulk users=8 texts=32'")
        }
        words.removeFirst()
        self.init(name: String(name), loop: .closed(users: 1))
        var seen: Set<Substring> = []
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[1].isEmpty else {
                throw ValidationError("'\(word)' of '\(name)' is none of \(Self.words)")
            }
            guard seen.insert(parts[0]).inserted else {
                throw ValidationError("'\(name)' says \(parts[0]) twice")
            }
            try set(parts[0], to: String(parts[1]))
        }
        let contradictions: [(Substring, Substring, String)] = [
            ("users", "rate", "a loop is closed (users) or open (rate)"),
            ("think-ms", "rate", "an open loop's arrivals do not think"),
            ("words", "input", "texts are made up (words) or read (input)"),
        ]
        for (first, second, reason) in contradictions where seen.contains(first) && seen.contains(second) {
            throw ValidationError("'\(name)' says \(first) and \(second); \(reason)")
        }
    }

    private static let words =
        "users=N, think-ms=N, rate=R (requests a second), texts=N (a request), words=MIX, input=FILE, priority=P, "
        + "deadline-ms=N, key-file=FILE"

    private mutating func set(_ word: Substring, to value: String) throws {
        switch word {
        case "users": loop = .closed(users: try Self.whole(value, word, Self.usersRange))
        case "rate":
            guard let rate = Double(value), Self.rateRange.contains(rate) else {
                throw ValidationError(
                    "rate=\(value) of '\(name)': it takes \(Self.rateRange.lowerBound) to \(Int(Self.rateRange.upperBound)) requests a second"
                )
            }
            loop = .open(rate: rate)
        case "texts": textsPerRequest = try Self.whole(value, word, Self.textsRange)
        case "priority": priority = try Self.priority(value)
        case "deadline-ms": deadlineMilliseconds = try Self.whole(value, word, Self.deadlineRange)
        case "think-ms": thinkMilliseconds = try Self.whole(value, word, Self.thinkRange)
        case "words": texts = .words(try LengthMix(value))
        case "input": texts = .file(value)
        case "key-file": keyFile = value
        default: throw ValidationError("'\(word)=\(value)' of '\(name)' is none of \(Self.words)")
        }
    }

    private static func whole(_ text: String, _ word: Substring, _ range: ClosedRange<Int>) throws -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw ValidationError("\(word)=\(text): it takes \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// Any server's word for it, as long as it needs no quoting.
    static func priority(_ text: String) throws -> String {
        guard (1...32).contains(text.utf8.count),
            text.utf8.allSatisfy({
                (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_")
            })
        else {
            throw ValidationError(
                "the priority '\(text)': it takes a word of a-z, 0-9, - and _, as interactive or bulk")
        }
        return text
    }
}
