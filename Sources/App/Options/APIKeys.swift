import Foundation

/// The keys that a server accepts.
package enum APIKeys {
    /// Keys of the file and of the environment together; empty where neither is given.
    package static func load(file: String?, environment: [String: String]) throws -> [String] {
        var keys: [String] = []
        if let file {
            let contents: String
            do {
                contents = try String(contentsOfFile: file, encoding: .utf8)
            } catch {
                throw CommandFailure.failed("cannot read --api-key-file '\(file)': \(error.localizedDescription)")
            }
            keys = try parse(contents, separator: "\n", source: "--api-key-file '\(file)'")
        }
        if let variable = environment["OVENBIRD_API_KEY"] {
            keys += try parse(variable, separator: ",", source: "OVENBIRD_API_KEY")
        }
        return keys
    }

    /// An empty source is refused: whoever names one means to be protected by it.
    private static func parse(_ text: String, separator: Character, source: String) throws -> [String] {
        let keys = text.split(separator: separator).map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
            .filter { !$0.isEmpty }
        guard !keys.isEmpty else { throw CommandFailure.usage("\(source) holds no key") }
        guard keys.allSatisfy({ $0.utf8.allSatisfy { (0x21...0x7E).contains($0) } }) else {
            throw CommandFailure.usage("a key of \(source) holds white space or characters beyond ASCII")
        }
        return keys
    }
}
