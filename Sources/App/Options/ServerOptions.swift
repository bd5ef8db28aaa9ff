import ArgumentParser
import HTTPAPI

/// Where the server listens, who may use it, and what a request may hold.
struct ServerOptions: ParsableArguments {
    static let defaultLineBytes = HTTPConfiguration().maxLineBytes

    @Option(help: "Address to listen on. Anything but loopback needs an API key or --allow-anonymous.")
    var host: String = "127.0.0.1"

    @Option(
        name: .customLong("allowed-host"), parsing: .singleValue,
        help: ArgumentHelp(
            "Name that Host may carry besides the loopback's; repeatable. Where one is given, Host is always checked.",
            valueName: "name"))
    var allowedHosts: [String] = []

    @Option(help: "Port to listen on; 0 takes a free one, which the log names.")
    var port: Int = 8080

    @Option(
        help: "File with the API keys that are accepted, one a line. OVENBIRD_API_KEY holds keys too, parted by commas."
    )
    var apiKeyFile: String?

    @Flag(help: "Serve without an API key beyond loopback.")
    var allowAnonymous = false

    @Flag(help: "Serve neither the live page at / nor its events at /v1/live.")
    var noDashboard = false

    // Nil where nobody chose: those a start may lower to what memory there is.
    @Option(help: "Inputs that one embeddings request may hold. Default: 2048.")
    var maxInputs: Int?

    @Option(help: "Bytes that the body of a JSON request may have. Default: 32 MiB.")
    var maxBodyBytes: Int?

    @Option(
        help:
            "Bytes that the bodies of all requests may hold together; default: 256 MiB or --max-body-bytes, if more."
    )
    var maxBufferedBodyBytes: Int?

    @Option(
        help:
            "Bytes of one line of an NDJSON body, which as a whole has no limit; and of a document's text in JSON."
    )
    var maxLineBytes: Int = defaultLineBytes

    @Option(help: "Connections at a time; more wait in the operating system's queue. Default: 1024.")
    var maxConnections: Int?

    @Option(help: "Seconds in which a request's head and JSON body must have arrived, else 408.")
    var bodyTimeout: Int = 30

    @Option(help: "Seconds in which a client must take the rest of an answer, or 64 KiB for each of them.")
    var responseTimeout: Int = 30

    @Option(help: "Seconds that SIGTERM gives to what was admitted.")
    var drainTimeout: Int = 25

    mutating func validate() throws {
        try requireRange(0...65_535, of: "--port", port)
        for host in allowedHosts where !Self.isHostName(host) {
            throw ValidationError("--allowed-host is '\(host)'; it takes a name or address without scheme and port")
        }
        if let maxInputs { try requireRange(1...1_000_000, of: "--max-inputs", maxInputs) }
        if let maxBodyBytes { try requireRange(1_024...(1 << 30), of: "--max-body-bytes", maxBodyBytes) }
        if let maxBufferedBodyBytes {
            let least = maxBodyBytes ?? 1_024
            try requireRange(least...(1 << 40), of: "--max-buffered-body-bytes", maxBufferedBodyBytes)
        }
        try requireRange(1_024...(1 << 30), of: "--max-line-bytes", maxLineBytes)
        if let maxConnections { try requireRange(1...1_000_000, of: "--max-connections", maxConnections) }
        try requireRange(1...86_400, of: "--body-timeout", bodyTimeout)
        try requireRange(1...86_400, of: "--response-timeout", responseTimeout)
        try requireRange(0...86_400, of: "--drain-timeout", drainTimeout)
    }

    private static func isHostName(_ text: String) -> Bool {
        let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
        return !text.isEmpty
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "/") }
            && (isBracketed || !text.contains(":"))
    }
}

extension ServerOptions {
    /// What holds where memory is no matter.
    var memoryKnobs: MemoryKnobs.Server {
        let defaults = HTTPConfiguration()
        // A body that is larger than all bodies together could never be taken.
        let bodyBytes = maxBodyBytes ?? min(defaults.maxBodyBytes, maxBufferedBodyBytes ?? .max)
        return MemoryKnobs.Server(
            inputs: maxInputs ?? defaults.maxInputs, bodyBytes: bodyBytes,
            bufferedBodyBytes: maxBufferedBodyBytes ?? max(defaults.maxBufferedBodyBytes, bodyBytes),
            bodyValues: defaults.maxValues, shortBodyBytes: HTTPService.shortBodyBytes,
            connections: maxConnections ?? defaults.maxConnections,
            eventLoops: HTTPService.eventLoopCount)
    }

    /// - Parameter limits: what came of the options and the memory that there is.
    func httpConfiguration(keys: [String], limits: MemoryKnobs.Server) -> HTTPConfiguration {
        var configuration = HTTPConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.allowedHosts = allowedHosts
        configuration.apiKeys = keys.map { Secret($0) }
        configuration.maxInputs = limits.inputs
        configuration.maxBodyBytes = limits.bodyBytes
        configuration.maxBufferedBodyBytes = limits.bufferedBodyBytes
        configuration.maxLineBytes = maxLineBytes
        configuration.maxTextBytes = maxLineBytes
        configuration.maxConnections = limits.connections
        configuration.bodyTimeout = .seconds(bodyTimeout)
        configuration.responseTimeout = .seconds(responseTimeout)
        return configuration
    }
}
