import ArgumentParser
import Foundation
import JSON
import NIOHTTP1

/// `ovenbird job list`.
struct JobListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Lists jobs, the newest first.")

    @OptionGroup var server: JobServerOptions

    @Option(help: "Only jobs in these states, parted by commas: queued, running, paused, completed, cancelled, failed.")
    var state: String?

    @Option(help: "Only jobs for this collection.")
    var collection: String?

    @Option(help: "Jobs that are listed at most.")
    var limit: Int = 100

    @Flag(help: "Print the jobs as the server describes them, one JSON object a line.")
    var json = false

    func validate() throws {
        try requireRange(1...1_000_000, of: "--limit", limit)
    }

    func run() async throws {
        let client = try server.client()
        let table = JobTable()
        var left = limit
        var after: String?
        repeat {
            let page = try await asCommand { try await client.document(request(after: after, limit: min(left, 100))) }
            if !json, after == nil { print(table.heading) }
            for job in (page["data"]?.array ?? []).prefix(left) {
                left -= 1
                guard !json else {
                    print(job.serialized)
                    continue
                }
                print(try await asCommand { table.row(try JobReport(job.object ?? JSONObject())) })
            }
            after = page["next"]?.string
        } while left > 0 && after != nil
    }

    private func request(after: String?, limit: Int) -> ServiceRequest {
        var request = ServiceRequest(.GET, "/v1/jobs", query: [("limit", "\(limit)")])
        if let state { request.query.append(("state", state)) }
        if let collection { request.query.append(("collection", collection)) }
        if let after { request.query.append(("after", after)) }
        return request
    }
}

/// Columns for people. A collection's name is the only value of open length, so it stands last.
package struct JobTable {
    private let formatter = ISO8601DateFormatter()

    package init() {}

    package var heading: String { row(["JOB", "STATE", "DONE", "FAILED", "TOTAL", "CREATED", "COLLECTION"]) }

    package func row(_ job: JobReport) -> String {
        let created = job.createdAt.map { formatter.string(from: Date(timeIntervalSince1970: Double($0))) } ?? "-"
        return row([
            job.id, job.state, "\(job.ended)", "\(job.failed)", "\(job.total)", created, job.collection ?? "-",
        ])
    }

    private func row(_ values: [String]) -> String {
        let widths = [28, 9, 9, 9, 9, 20, 0]
        return zip(values, widths).enumerated().map { place, cell in
            let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.utf8.count))
            // Numbers end alike, words begin alike.
            return (2...4).contains(place) ? padding + cell.0 : cell.0 + padding
        }.joined(separator: "  ")
    }
}
