import ArgumentParser

/// How results are written.
package enum ResultFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// `{"id","embedding":[…]}` lines, `{"id","error"}` where there is none.
    case ndjson
    /// A NumPy array of float32, rows of NaN where there is none.
    case npy
    /// Little-endian float32 rows.
    case f32
    /// Little-endian float16 rows, as the vectors are stored.
    case f16
}

/// `ovenbird job results`.
struct JobResultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "results",
        abstract: "Downloads a job's vectors, in the order of its inputs.")

    @OptionGroup var server: JobServerOptions

    @Argument(help: "The job's id.")
    var id: String

    @Option(help: "Where the vectors go; - is standard output. A file is put in place when it is whole.")
    var output: String = "-"

    @Option(help: "ndjson: {\"id\",\"embedding\"} or {\"id\",\"error\"} lines; npy, f32, f16: rows, NaN for errors.")
    var format: ResultFormat = .ndjson

    @Flag(help: "Take what is done of a job that has not ended.")
    var partial = false

    func run() async throws {
        let client = try server.client()
        var download = ResultDownload(client: client, id: id, format: format, isPartial: partial)
        var file = try AtomicOutput(path: output)
        try await asCommand { try await download.run { bytes throws(CommandFailure) in try file.write(bytes) } }
        try file.finish()
    }
}
