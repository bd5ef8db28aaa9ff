import Foundation

/// One line on a terminal's standard error, rewritten a few times a second; nothing where standard error is no terminal.
struct ProgressLine {
    private let isShown = isatty(STDERR_FILENO) == 1
    private let start = ContinuousClock.now
    private var lastShown: ContinuousClock.Instant?
    /// Bytes of the input, where it is a file.
    private let totalByteCount: Int?

    /// - Parameter path: the input's path, `-` for standard input; a file's size gives the time that is left.
    init(inputPath path: String) {
        let attributes = path == "-" ? nil : try? FileManager.default.attributesOfItem(atPath: path)
        totalByteCount = (attributes?[.size] as? Int).flatMap { $0 > 0 ? $0 : nil }  // without a size there is no ETA
    }

    mutating func show(texts: Int, readByteCount: Int) {
        let now = ContinuousClock.now
        guard isShown, lastShown.map({ now - $0 > .milliseconds(200) }) ?? true else { return }
        lastShown = now
        let seconds = max(0.001, Double(milliseconds: now - start) / 1000)
        var line = "\(texts) texts, \(Int(Double(texts) / seconds)) texts/s"
        if let totalByteCount, readByteCount > 0 {
            let share = min(1, Double(readByteCount) / Double(totalByteCount))
            let left = Int(seconds / share * (1 - share))
            line += ", \(Int(share * 100)) %, \(left / 60):\(left % 60 < 10 ? "0" : "")\(left % 60) left"
        }
        write(line)
    }

    func finish(texts: Int) {
        guard isShown else { return }
        let seconds = max(0.001, Double(milliseconds: ContinuousClock.now - start) / 1000)
        write("\(texts) texts in \(Int(seconds)) s, \(Int(Double(texts) / seconds)) texts/s\n")
    }

    private func write(_ line: String) {
        FileHandle.standardError.writeOrLose("\r\u{1B}[K\(line)")
    }
}
