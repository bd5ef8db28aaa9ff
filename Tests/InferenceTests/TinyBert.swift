import Embeddings
import Foundation
import Inference
import JSON

/// One of the golden models that `Tests/Golden/tiny_berts.py` wrote (its versions and seed stand there).
struct TinyBert: Sendable, CustomStringConvertible {
    let name: String

    static let all = (0..<12).map { TinyBert(name: $0 < 10 ? "0\($0)" : "\($0)") }

    var description: String { name }

    var directory: String {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Golden/tiny-berts/\(name)").path(percentEncoded: false)
    }

    func sequences() throws -> [TokenSequence] {
        let data = try Data(contentsOf: URL(filePath: "\(directory)/inputs.json"))
        let object = try JSONValue(parsing: Array(data)).object
        let ids = object?["ids"]?.array ?? []
        let unpooled = object?["unpooled"]?.array ?? []
        return zip(ids, unpooled).map { ids, unpooled in
            TokenSequence(
                ids: ids.array?.compactMap { $0.number?.integer.map(Int32.init) } ?? [],
                unpooledPrefix: unpooled.number?.integer ?? 0)
        }
    }

    /// (sequences · dimensions), row-major.
    func expected() throws -> [Float] {
        let data = try Data(contentsOf: URL(filePath: "\(directory)/expected.f32"))
        return stride(from: 0, to: data.count, by: 4).map { offset in
            Float(bitPattern: data[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
        }
    }
}

/// A copy of a tiny model in a folder of its own, to be spoilt; the folder goes with the value.
final class SpoiltModel {
    let directory: String

    init(_ model: TinyBert = TinyBert.all[1]) throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "ovenbird-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: URL(filePath: model.directory), to: url)
        directory = url.path(percentEncoded: false)
    }

    deinit {
        // A folder that stays behind in the temporary directory harms nobody.
        try? FileManager.default.removeItem(atPath: directory)
    }

    func write(_ file: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(filePath: "\(directory)/\(file)"))
    }

    func write(_ file: String, _ text: String) throws {
        try write(file, Array(text.utf8))
    }

    func read(_ file: String) throws -> [UInt8] {
        Array(try Data(contentsOf: URL(filePath: "\(directory)/\(file)")))
    }

    func remove(_ file: String) throws {
        try FileManager.default.removeItem(atPath: "\(directory)/\(file)")
    }

    /// Replaces the first place of a text in a file; it must be there.
    func replace(_ old: String, with new: String, in file: String) throws {
        let text = String(decoding: try read(file), as: UTF8.self)
        guard let range = text.range(of: old) else { throw CocoaError(.formatting) }
        try write(file, text.replacingCharacters(in: range, with: new))
    }

    /// Writes `model.safetensors` with a header and that many bytes behind it.
    func writeSafetensors(header: String, dataByteCount: Int) throws {
        let length = UInt64(header.utf8.count)
        let prefix = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) }
        try write("model.safetensors", prefix + Array(header.utf8) + [UInt8](repeating: 0, count: dataByteCount))
    }

    /// The description of the error that loading ends with; nil where it loads.
    func loadFailure() -> String? {
        do throws(ModelError) {
            _ = try EncoderModel(directory: directory)
            return nil
        } catch {
            return error.description
        }
    }
}
