import ArgumentParser
import HTTPAPI

/// Where the server listens, who may use it, and what a request may hold.
struct ServerOptions: ParsableArguments {
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

    @Option(help: "Inputs that one embeddings request may hold.")
    var maxInputs: Int = 2_048

    @Option(help: "Bytes that the body of a JSON request may have.")
    var maxBodyBytes: Int = 32 << 20

    @Option(
        help:
            "Bytes that the bodies of all requests may hold together; default: 256 MiB or --max-body-bytes, if more."
    )
    var maxBufferedBodyBytes: Int?

    @Option(
        help:
            "Bytes of one line of an NDJSON body, which as a whole has no limit; and of a document's text in JSON."
    )
    var maxLineBytes: Int = 1 << 20

    @Option(help: "Connections at a time; more wait in the operating system's queue.")
    var maxConnections: Int = 1_024

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
        try requireRange(1...1_000_000, of: "--max-inputs", maxInputs)
        try requireRange(1_024...(1 << 30), of: "--max-body-bytes", maxBodyBytes)
        if let maxBufferedBodyBytes {
            try requireRange(maxBodyBytes...(1 << 40), of: "--max-buffered-body-bytes", maxBufferedBodyBytes)
        }
        try requireRange(1_024...(1 << 30), of: "--max-line-bytes", maxLineBytes)
        try requireRange(1...1_000_000, of: "--max-connections", maxConnections)
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
    func httpConfiguration(keys: [String]) -> HTTPConfiguration {
        var configuration = HTTPConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.allowedHosts = allowedHosts
        configuration.apiKeys = keys.map { Secret($0) }
        configuration.maxInputs = maxInputs
        configuration.maxBodyBytes = maxBodyBytes
        configuration.maxBufferedBodyBytes =
            maxBufferedBodyBytes ?? max(configuration.maxBufferedBodyBytes, maxBodyBytes)
        configuration.maxLineBytes = maxLineBytes
        configuration.maxTextBytes = maxLineBytes
        configuration.maxConnections = maxConnections
        configuration.bodyTimeout = .seconds(bodyTimeout)
        configuration.responseTimeout = .seconds(responseTimeout)
        return configuration
    }
}
