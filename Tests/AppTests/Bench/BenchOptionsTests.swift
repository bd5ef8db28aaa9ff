import App
import ArgumentParser
import Testing

struct BenchOptionsTests {
    private static func complaint(_ options: [String]) -> String? {
        do {
            _ = try OvenbirdCommand.parseAsRoot(["bench", "--model", "m", "--input", "i"] + options)
            return nil
        } catch {
            #expect(OvenbirdCommand.exitCode(for: error).rawValue == 64)
            return OvenbirdCommand.message(for: error)
        }
    }

    @Test(arguments: [
        [], ["--sweep-batch", "1,2,4,128"], ["--sweep-length", "8, 16"],
        [
            "--sweep-batch", "1", "--sweep-length", "512", "--sweep-seconds", "2", "--chart", "a.svg", "--layout",
            "padded",
        ],
        ["--output", "v.f32", "--batching", "static"], ["--one-at-a-time"],
    ])
    func whatFitsIsTaken(options: [String]) {
        #expect(Self.complaint(options) == nil)
    }

    @Test(arguments: [
        ("--sweep-batch", "0", "1 to 4096"), ("--sweep-batch", "4097", "1 to 4096"),
        ("--sweep-batch", "-3", "1 to 4096"),
        ("--sweep-batch", "1,two", "'two'"), ("--sweep-batch", "1,,2", "''"),
        ("--sweep-batch", "2,1,2", "2 stands there twice"),
        ("--sweep-length", "1048577", "1 to 1048576"),
        ("--sweep-length", "99999999999999999999", "99999999999999999999"),
        ("--sweep-batch", (1...17).map(String.init).joined(separator: ","), "1 to 16"),
        ("--sweep-seconds", "601", "1 to 600"), ("--chart", "a.png", ".svg or .html"),
    ])
    func valuesBeyondTheirLimitAreRefused(option: String, value: String, limit: String) throws {
        let others = option == "--sweep-batch" ? [] : ["--sweep-batch=1"]
        let complaint = try #require(Self.complaint(others + ["\(option)=\(value)"]))
        #expect(complaint.contains(option) && complaint.contains(limit), "\(complaint)")
    }

    @Test func optionsThatWouldBeIgnoredAreRefused() throws {
        #expect(try #require(Self.complaint(["--chart", "a.svg"])).contains("--chart"))
        #expect(try #require(Self.complaint(["--sweep-seconds", "2"])).contains("--sweep-seconds"))
        for options in [
            ["--output", "v.f32"], ["--batching", "static"], ["--max-batch-tokens", "64"], ["--max-num-seqs", "2"],
            ["--one-at-a-time"],
        ] {
            #expect(try #require(Self.complaint(["--sweep-length=8"] + options)).contains(options[0]))
        }
    }

    @Test func listsAreSorted() throws {
        #expect(try SweepList("16, 1 ,4", range: 1...16).values == [1, 4, 16])
    }

    @Test func everySizeIsTimedOnceLengthByLength() throws {
        let sizes = try SweepSize.all(batches: [1, 2], lengths: [8, 16], lengthLimit: 16)
        #expect(sizes.map(\.batch) == [1, 2, 1, 2] && sizes.map(\.length) == [8, 8, 16, 16])
    }

    @Test func whatTheModelOrThePassCannotTakeIsRefused() throws {
        let long = #expect(throws: CommandFailure.self) {
            try SweepSize.all(batches: [1], lengths: [8, 17], lengthLimit: 16)
        }
        #expect(long?.exitCode == 64)
        #expect(long?.message == "--sweep-length holds 17; this model takes 16 tokens, special tokens included")
        let large = #expect(throws: CommandFailure.self) {
            try SweepSize.all(batches: [4_096], lengths: [1_024, 1_025], lengthLimit: 8_192)
        }
        #expect(large?.exitCode == 64)
        #expect(large?.message.contains("4198400 tokens; one pass takes 4194304") == true)
    }
}
