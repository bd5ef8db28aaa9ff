import Foundation

/// Where a running `ovenbird serve` is reached: `http://HOST[:PORT][/PREFIX]`.
package struct ServiceAddress: Sendable, Equatable {
    /// As `Host` and the resolver take it; an IPv6 address without brackets.
    package let host: String
    package let port: Int
    /// Before every path of the service; empty, or `/` and more.
    package let prefix: String

    package init(_ text: String) throws(CommandFailure) {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased() else {
            throw .usage("--url is '\(text)'; it takes http://HOST:PORT")
        }
        guard scheme != "https" else {
            throw .usage(
                "--url is https://, which this command does not speak: let a proxy beside it do so, and give the proxy's http:// address"
            )
        }
        // Brackets are the notation's, not the address's.
        let host = parts.host.map { $0.hasPrefix("[") && $0.hasSuffix("]") ? String($0.dropFirst().dropLast()) : $0 }
        guard scheme == "http", let host, !host.isEmpty, parts.user == nil, parts.query == nil, parts.fragment == nil
        else { throw .usage("--url is '\(text)'; it takes http://HOST:PORT") }
        let port = parts.port ?? 80
        guard (1...65_535).contains(port) else {
            throw .usage("--url names the port \(port); ports go from 1 to 65535")
        }
        self.host = host
        self.port = port
        prefix = String(parts.percentEncodedPath.reversed().drop { $0 == "/" }.reversed())
    }

    /// What the `Host` header says.
    var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }
}
