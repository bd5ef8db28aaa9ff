import Crypto
import HTTPTypes
import HummingbirdCore
import NIOCore

/// The page at `/`: one answer that needs nothing else, the same whatever the server does and holds.
///
/// The build makes its own names of the files' (a dot becomes `_`), so they stand here in the page's order.
package enum LivePage {
    /// File names and contents of `Assets/`.
    package static let files: [(name: String, bytes: [UInt8])] =
        [("page.html", PackageResources.page_html), ("page.css", PackageResources.page_css)] + scripts

    /// One script, in this order.
    private static let scripts: [(name: String, bytes: [UInt8])] = [
        ("stream.js", PackageResources.stream_js),
        ("timeline.js", PackageResources.timeline_js),
        ("figures.js", PackageResources.figures_js),
        ("page.js", PackageResources.page_js),
    ]

    static let response: Response = {
        let style = String(decoding: PackageResources.page_css, as: UTF8.self)
        let script = scripts.map { String(decoding: $0.bytes, as: UTF8.self) }.joined(separator: "\n")
        var page = String(decoding: PackageResources.page_html, as: UTF8.self)
        replace("/* page.css */", with: style, in: &page)
        replace("/* page.js */", with: script, in: &page)
        // Only what is named here runs, and it talks to nobody but this server.
        let policy = [
            "default-src 'none'", "style-src '\(digest(of: style))'", "script-src '\(digest(of: script))'",
            "connect-src 'self'", "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        ].joined(separator: "; ")
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-cache", .contentSecurityPolicy: policy,
                .xContentTypeOptions: "nosniff", .referrerPolicy: "no-referrer",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: page)))
    }()

    private static func replace(_ mark: String, with text: String, in page: inout String) {
        let parts = page.split(separator: mark, maxSplits: 2, omittingEmptySubsequences: false)
        precondition(parts.count == 2, "page.html names \(mark) once")
        page = parts.joined(separator: text)
    }

    /// As a policy names what it allows: base64 of the SHA-256 of the element's text.
    private static func digest(of text: String) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let hash = Array(SHA256.hash(data: Array(text.utf8)))
        // 32 bytes are ten groups of three, and two over.
        let encoded = stride(from: 0, to: hash.count, by: 3).flatMap { start in
            let group = (0..<3).map { start + $0 < hash.count ? UInt32(hash[start + $0]) : 0 }
            let bits = group[0] << 16 | group[1] << 8 | group[2]
            return [18, 12, 6, 0].map { digits[Int(bits >> $0 & 63)] }
        }
        return "sha256-" + String(decoding: encoded.dropLast(), as: UTF8.self) + "="
    }
}

extension HTTPField.Name {
    fileprivate static var referrerPolicy: HTTPField.Name { known("Referrer-Policy") }
}
