import App
import ArgumentParser
import Testing

struct LoadOptionsTests {
    private static func complaint(_ options: [String]) -> String? {
        do {
            _ = try OvenbirdCommand.parseAsRoot(["loadtest"] + options)
            return nil
        } catch {
            #expect(OvenbirdCommand.exitCode(for: error).rawValue == 64)
            return OvenbirdCommand.message(for: error)
        }
    }

    @Test(arguments: [
        [], ["--users", "64", "--texts-per-request", "1"], ["--rate", "0.5"],
        ["--sweep-users", "1,2,4,8,16,32,64,128"],
        ["--client", "bulk users=8 texts=32 priority=bulk", "--client", "lone users=1"],
        ["--input", "a.ndjson", "--duration", "60", "--warm-up", "0", "--chart", "a.html", "--json"],
        ["--words", "5:1,300", "--encoding", "float", "--check", "--retry-after", "ignore", "--slo-ms", "250"],
        ["--compare", "a.json", "--compare", "b.json", "--draw-only", "--chart", "c.svg"],
        ["--rate", "10", "--max-connections", "4"], ["--client", "a users=1020", "--client", "b rate=5"],
    ])
    func whatFitsIsTaken(options: [String]) {
        #expect(Self.complaint(options) == nil)
    }

    @Test(arguments: [
        ("--users", "0", "1 to 4096"), ("--users", "4097", "1 to 4096"), ("--rate", "0", "0.001 to 100000"),
        ("--rate", "nan", "0.001 to 100000"), ("--sweep-users", "1,0", "1 to 4096"),
        ("--texts-per-request", "0", "1 to 16384"), ("--priority", "a b", "a-z"), ("--duration", "0", "1 to 3600"),
        ("--warm-up", "-1", "0 to 3600"), ("--request-timeout", "0", "1 to 3600"),
        ("--max-requests", "0", "1 to 100000000"), ("--max-connections", "0", "1 to 16384"),
        ("--slo-ms", "0", "1 to 3600000"), ("--words", "8:x", "'8:x'"), ("--words", "0:1", "1 to 8192"),
        ("--chart", "a.png", ".svg or .html"),
    ])
    func valuesBeyondTheirLimitAreRefused(option: String, value: String, limit: String) throws {
        let complaint = try #require(Self.complaint(["\(option)=\(value)"]))
        #expect(complaint.contains(option) && complaint.contains(limit), "\(complaint)")
    }

    @Test(arguments: [
        ["--users=2", "--rate=3"], ["--users=2", "--sweep-users=1,2"], ["--client=a", "--rate=3"],
        ["--client=a", "--texts-per-request=3"], ["--client=a", "--priority=bulk"],
        ["--client=a", "--client=a users=3"],
        ["--input=a", "--words=8"], ["--compare=a.json"], ["--draw-only"], ["--users=100", "--max-connections=99"],
        ["--sweep-users=1,100", "--max-connections=99"],
        ["--client=a users=60", "--client=b users=60", "--max-connections=99"],
        ["--rate=10", "--max-connections=3"], ["--client=a users=1024", "--client=b rate=5"],
    ])
    func optionsThatContradictEachOtherAreRefused(options: [String]) throws {
        let complaint = try #require(Self.complaint(options))
        #expect(
            options.contains { complaint.contains($0.prefix { $0 != "=" }) } || complaint.contains("--max-connections"))
    }

    @Test(arguments: [
        ("http://192.0.2.1:8080", "--allow-remote"), ("http://example.org", "--allow-remote"),
        ("https://127.0.0.1", "proxy"),
        ("127.0.0.1:8080", "http://HOST:PORT"),
    ])
    func onlyTheLoopbackIsLoadedUnasked(url: String, part: String) async throws {
        var command = try #require(
            try OvenbirdCommand.parseAsRoot(["loadtest", "--url", url]) as? any AsyncParsableCommand)
        let failure = await #expect(throws: CommandFailure.self) { try await command.run() }
        #expect(failure?.exitCode == 64 && failure?.message.contains(part) == true)
    }

    @Test func kindsAreRead() throws {
        #expect(try ClientKind(parsing: "lone") == ClientKind(name: "lone", loop: .closed(users: 1)))
        #expect(
            try ClientKind(parsing: " bulk  users=8 texts=32 priority=bulk deadline-ms=500 key-file=/k=1 ")
                == ClientKind(
                    name: "bulk", loop: .closed(users: 8), textsPerRequest: 32, priority: "bulk",
                    deadlineMilliseconds: 500, keyFile: "/k=1"))
        #expect(try ClientKind(parsing: "open rate=2.5").loop == .open(rate: 2.5))
        let lone = try ClientKind(parsing: "lone think-ms=50 words=6:1,8:2")
        #expect(try lone.thinkMilliseconds == 50 && lone.texts == .words(LengthMix("6:1,8:2")))
        #expect(try ClientKind(parsing: "a input=b.ndjson").texts == .file("b.ndjson"))
    }

    @Test(arguments: [
        ("users=8", "begins with a name"), ("a user=8", "users=N"), ("a users", "users=N"), ("a users=", "users=N"),
        ("a users=x", "1 to 4096"), ("a rate=-1", "0.001"), ("a rate=1 think-ms=1", "do not think"),
        ("a words=8 input=b", "made up"),
        ("a words=0", "1 to 8192"), ("a texts=1 texts=2", "twice"),
        ("a users=1 rate=1", "closed"),
        ("a priority=\"", "a-z"), ("a deadline-ms=0", "1 to 3600000"), (String(repeating: "n", count: 33), "32"),
    ])
    func wrongKindsAreTold(text: String, part: String) {
        let error = #expect(throws: ValidationError.self) { try ClientKind(parsing: text) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "-")")
    }

    @Test func madeUpTextsHaveTheirLengthsAndAreTheSameForTheSameSeed() throws {
        let mix = try LengthMix("3:1,20:3")
        let texts = mix.texts(seed: 4)
        #expect(texts == mix.texts(seed: 4) && texts != mix.texts(seed: 5))
        let lengths = texts.map { $0.split(separator: " ").count }
        #expect(Set(lengths) == [3, 20])
        #expect(abs(Double(lengths.count { $0 == 20 }) / Double(lengths.count) - 0.75) < 0.03)
    }

    @Test func textsComeRoundInOneOrder() {
        var texts = LoadTexts((0..<10).map { "t\"\($0)" }, seed: 6)
        let first = (0..<10).map { _ in texts.next() }
        #expect(Set(first).count == 10 && first == (0..<10).map { _ in texts.next() })
        #expect(first.contains(Array(#""t\"3""#.utf8)))
    }
}
