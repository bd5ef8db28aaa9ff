import Foundation

/// Shows a job's progress on standard error: on a terminal one line with a bar, rewritten; elsewhere a plain line whenever
/// its state changes, and every few seconds while it runs.
package struct JobProgress {
    private let isTerminal: Bool
    private let write: (String) -> Void
    private var lastState: String?
    private var lastEnded: Int?
    private var lastLine: ContinuousClock.Instant?
    /// Between plain lines of one state.
    private static let plainInterval = Duration.seconds(5)

    package init(
        isTerminal: Bool = isatty(STDERR_FILENO) == 1,
        write: @escaping (String) -> Void = { FileHandle.standardError.writeOrLose($0) }
    ) {
        self.isTerminal = isTerminal
        self.write = write
    }

    package mutating func show(_ job: JobReport, now: ContinuousClock.Instant = .now) {
        if isTerminal {
            write("\r\u{1B}[K\(Self.line(job, barWidth: 30))" + (job.hasEnded ? "\n" : ""))
            return
        }
        let isDue = lastLine.map { now - $0 >= Self.plainInterval } ?? true
        guard job.state != lastState || (isDue && job.ended != lastEnded) else { return }
        lastState = job.state
        lastEnded = job.ended
        lastLine = now
        write(Self.line(job, barWidth: 0) + "\n")
    }

    /// What stands in the line: id, bar, share, counts, rate, time left.
    static func line(_ job: JobReport, barWidth: Int) -> String {
        let share = job.total == 0 ? 1 : Double(job.ended) / Double(job.total)
        var parts: [String] = []
        if barWidth > 0 {
            let filled = Int(share * Double(barWidth))
            parts.append(
                "[" + String(repeating: "#", count: filled) + String(repeating: "·", count: barWidth - filled) + "]")
        }
        parts.append("\(Int(share * 100)) %")
        var line = "\(job.id) \(job.state) \(parts.joined(separator: " ")), \(job.ended) of \(job.total)"
        if job.failed > 0 { line += ", \(job.failed) failed" }
        if let rate = job.textsPerSecond, !job.hasEnded { line += ", \(Int(rate.rounded())) texts/s" }
        if let left = job.secondsLeft, !job.hasEnded { line += ", \(clockTime(left)) left" }
        return line
    }

    private static func clockTime(_ seconds: Double) -> String {
        let whole = Int(min(max(0, seconds), 1e9).rounded(.up))
        func digits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return whole < 3_600
            ? "\(whole / 60):\(digits(whole % 60))"
            : "\(whole / 3_600):\(digits(whole / 60 % 60)):\(digits(whole % 60))"
    }
}
