import ArgumentParser
import HTTPAPI

/// Limits of OpenAI's files and batches. (`--job-retention` also ends the files that a batch's answers are in.)
struct BatchOptions: ParsableArguments {
    @Option(help: "Bytes that an uploaded file may have.")
    var maxFileBytes: Int = 200 << 20

    @Option(help: "Requests that a batch's file may hold.")
    var maxBatchRequests: Int = 50_000

    mutating func validate() throws {
        try requireRange(1_024...(1 << 34), of: "--max-file-bytes", maxFileBytes)
        try requireRange(1...1_000_000, of: "--max-batch-requests", maxBatchRequests)
    }

    /// - Parameters:
    ///   - http: of the server beside it, whose limits of one request hold in batches too.
    ///   - retention: of ended jobs.
    func coordinatorConfiguration(
        http: HTTPConfiguration, retention: Duration
    ) -> BatchCoordinator.Configuration {
        var configuration = BatchCoordinator.Configuration()
        configuration.maximumRequests = maxBatchRequests
        configuration.maximumInputs = max(configuration.maximumInputs, maxBatchRequests)
        configuration.maximumInputsPerRequest = http.maxInputs
        configuration.maximumTextBytes = http.maxTextBytes
        configuration.resultRetention = retention
        return configuration
    }
}
