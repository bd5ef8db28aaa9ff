import App
import ArgumentParser
import Testing

struct JobOptionsTests {
    private static let worker = ["worker", "--model", "m", "--database-url", "postgresql://h/d"]

    private static func complaint(_ arguments: [String]) -> String? {
        do {
            _ = try OvenbirdCommand.parseAsRoot(arguments)
            return nil
        } catch {
            return OvenbirdCommand.message(for: error)
        }
    }

    @Test func workersTakeTheOptionsOfModelQueueDatabaseJobsAndLog() {
        let options = [
            "--threads", "1", "--max-batch-tokens", "256", "--database-timeout", "500", "--job-workers", "3",
            "--job-lease", "5", "--job-poll", "100", "--job-retention", "1", "--database-direct-url",
            "postgresql://h/d", "--log-level", "debug",
        ]
        #expect(Self.complaint(Self.worker + options) == nil)
        #expect(Self.complaint(["serve", "--model", "m", "--job-workers", "0"]) == nil)
    }

    @Test(arguments: [
        ("--job-workers", "65"), ("--job-workers", "-1"), ("--job-lease", "1"), ("--job-lease", "3601"),
        ("--job-poll", "49"), ("--job-retention", "0"),
    ])
    func valuesBeyondTheirRangeAreRefused(option: String, value: String) throws {
        let complaint = try #require(Self.complaint(Self.worker + ["\(option)=\(value)"]))
        #expect(complaint.contains(option) && complaint.contains(value))
    }

    @Test func workersNeedADatabaseThatOthersReachAndSomethingToDo() {
        #expect(Self.complaint(["worker", "--model", "m"])?.contains("--database-url") == true)
        #expect(Self.complaint(["worker", "--model", "m", "--database-url", "memory:"])?.contains("memory:") == true)
        #expect(Self.complaint(Self.worker + ["--job-workers", "0"])?.contains("--job-workers") == true)
    }
}
