import ArgumentParser
import Foundation
import HTTPAPI
import JSON
import NIOHTTP1
import UnixSignals

/// `ovenbird loadtest`: a load for any OpenAI-compatible server, and what became of it.
struct LoadTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadtest",
        abstract: "Sends a load to an OpenAI-compatible embeddings server and measures what comes back.",
        discussion: """
            An open loop's latency begins when a request was wanted, not when it could be sent: a server that stalls is \
            charged for all that queued up behind the stall (no coordinated omission). A closed loop's latency begins \
            when its user asks; a stall holds the user up, and fewer requests see it.
            Rates count answers within the measured time; latencies are those of requests wanted within it.
            Ctrl-C ends the run early and still prints what was measured.
            """)

    @Option(
        help: ArgumentHelp("The server, http://HOST:PORT[/PREFIX]; it asks /v1/embeddings there.", valueName: "url"))
    var url: String = "http://127.0.0.1:8080"

    @Flag(
        help: """
            Load a server on another machine too. Without it only loopback addresses are taken, since a load test is an \
            attack on whoever did not ask for it.
            """)
    var allowRemote = false

    @Option(help: "The model that requests name. Default: the first that /v1/models lists.")
    var modelName: String?

    @Option(help: "File with an API key that the server accepts; OVENBIRD_API_KEY holds one too. The first is used.")
    var apiKeyFile: String?

    @OptionGroup var load: LoadOptions
    @OptionGroup var texts: LoadTextOptions
    @OptionGroup var bounds: LoadBoundOptions

    @Option(help: "What charts and results call this run. Default: the model's name.")
    var label: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "An earlier result, as --json printed it, to be drawn beside this one; may be given several times.",
            valueName: "file"))
    var compare: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where a chart goes: one self-contained file, a page where its name ends in .html, a drawing where in .svg.",
            valueName: "file"),
        transform: { try ChartFile(path: $0) })
    var chart: ChartFile?

    @Flag(help: "Send nothing: draw the results that --compare names.")
    var drawOnly = false

    @Flag(help: "One JSON object on the last line of standard output.")
    var json = false

    mutating func validate() throws {
        guard load.startConnectionCount <= bounds.maxConnections else {
            throw ValidationError(
                "this load begins with \(load.startConnectionCount) connections, one for each user and "
                    + "\(ClientKind.Loop.open(rate: 1).startConnectionCount) for each open loop; --max-connections is "
                    + "\(bounds.maxConnections)")
        }
        if !compare.isEmpty, chart == nil { throw ValidationError("--compare draws results; it needs --chart") }
        guard compare.count + (drawOnly ? 0 : 1) <= LoadChart.maximumResultCount else {
            throw ValidationError("--compare: one chart holds \(LoadChart.maximumResultCount) results")
        }
        if drawOnly, compare.isEmpty { throw ValidationError("--draw-only draws what --compare names; it needs one") }
    }

    func run() async throws {
        // What cannot be read is said before a load is sent for nothing.
        let others = try compare.map { path throws(CommandFailure) in try LoadResult(path: path) }
        if drawOnly {
            try chart?.write(try LoadChart.chart(of: others))
            return
        }
        let plan = try await plan()
        let report = try await measure(plan)
        if let chart, let own = LoadResult(report.json) { try chart.write(try LoadChart.chart(of: others + [own])) }
        print(json ? JSONValue.object(report.json).serialized : report.table)
        try judge(report)
    }

    private func plan() async throws -> LoadPlan {
        let address = try ServiceAddress(url)
        guard allowRemote || HTTPConfiguration.isLoopback(host: address.host) else {
            throw CommandFailure.usage(
                "--url names \(address.host), which is no loopback address: a load test is an attack on a machine whose "
                    + "owner did not ask for it. Say --allow-remote where it is yours")
        }
        let environment = ProcessInfo.processInfo.environment
        let key = try APIKeys.load(file: apiKeyFile, environment: environment).first
        let lanes = try load.kinds.map { kind in
            let own = try kind.keyFile.map { try APIKeys.load(file: $0, environment: [:]).first } ?? nil
            return LoadPlan.Lane(kind: kind, apiKey: own ?? key, texts: try kind.texts.map { try texts.texts(of: $0) })
        }
        let name: String
        if let modelName { name = modelName } else { name = try await servedModel(address, key: key) }
        var plan = LoadPlan(address: address, lanes: lanes, texts: try texts.texts(), modelName: name)
        plan.encoding = texts.encoding
        plan.isChecked = texts.check
        plan.seed = texts.seed
        bounds.bound(&plan)
        return plan
    }

    private func servedModel(_ address: ServiceAddress, key: String?) async throws -> String {
        let list = try await asLoadTest {
            try await ServiceClient(address: address, apiKey: key).document(ServiceRequest(.GET, "/v1/models"))
        }
        guard let name = list["data"]?.array?.first?.object?["id"]?.string else {
            throw CommandFailure.failed("/v1/models lists no model; --model-name says what requests shall name")
        }
        return name
    }

    /// Runs the plan, or each size of the sweep in turn, until it is over or a signal comes.
    private func measure(_ plan: LoadPlan) async throws -> LoadReport {
        let stop = LoadStop()
        let runs = try await withThrowingTaskGroup(of: LoadReport.Runs?.self) { group in
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { stop.raise() }
                return nil
            }
            group.addTask { try await asLoadTest { try await Self.runs(plan, sweep: load.sweepUsers, stop: stop) } }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
        return LoadReport(
            setting: LoadReport.Setting(
                label: label ?? plan.modelName, url: url, model: plan.modelName, encoding: plan.encoding,
                seed: plan.seed, textCount: plan.texts.count, goodLatency: plan.goodLatency),
            runs: runs)
    }

    private static func runs(_ plan: LoadPlan, sweep: SweepList?, stop: LoadStop) async throws -> LoadReport.Runs {
        guard let sweep else { return .one(try await LoadGenerator.run(plan, stop: stop)) }
        var runs: [(users: Int, outcome: LoadOutcome)] = []
        for users in sweep.values {
            var part = plan
            part.lanes = plan.lanes.map { lane in
                var kind = lane.kind
                kind.loop = .closed(users: users)
                return LoadPlan.Lane(kind: kind, apiKey: lane.apiKey, texts: lane.texts)
            }
            let outcome = try await LoadGenerator.run(part, stop: stop)
            runs.append((users, outcome))
            if outcome.end == .interrupted { break }
        }
        return .sweep(runs)
    }

    /// A load that nobody answered, and a wrong vector, are failures; slowness and refusals are results.
    private func judge(_ report: LoadReport) throws(CommandFailure) {
        let tallies = report.outcomes.flatMap { $0.lanes.map(\.tally) }
        let isInterrupted = report.outcomes.contains { $0.end == .interrupted }
        if !isInterrupted, tallies.allSatisfy({ $0.answeredCount == 0 && $0.windowRequestCount == 0 }) {
            throw .failed("no request was answered with vectors within the measured time")
        }
        if texts.check, tallies.contains(where: { $0.errorCount > 0 }) {
            throw .failed("--check: not every answer was whole and right")
        }
    }
}

/// Says a refusal of the server, or the loss of it, as this command ends.
private func asLoadTest<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
    do {
        return try await body()
    } catch let failure as ServiceFailure {
        throw switch failure {
        case .unexpected(let details): CommandFailure.failed("the server's answer cannot be used: \(details)")
        default: failure.commandFailure
        }
    }
}
