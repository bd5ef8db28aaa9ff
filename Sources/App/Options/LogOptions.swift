import ArgumentParser
import Logging

/// What is logged to standard error, and how.
struct LogOptions: ParsableArguments {
    @Option(help: "Least level that is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = LogLevel(.info)

    @Option(help: "One line an event, as text or as a JSON object.")
    var logFormat: LineLogHandler.Format = .text

    /// Makes every logger of the process write to standard error; once a process.
    func bootstrap() {
        let (level, format) = (logLevel.level, logFormat)
        LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format) }
    }
}

/// A level's name as an option takes it.
struct LogLevel: ExpressibleByArgument {
    let level: Logger.Level

    init(_ level: Logger.Level) { self.level = level }

    init?(argument: String) {
        guard let level = Logger.Level(rawValue: argument) else { return nil }
        self.level = level
    }

    var defaultValueDescription: String { level.rawValue }
    static let allValueStrings = Logger.Level.allCases.map(\.rawValue)
}

extension LineLogHandler.Format: ExpressibleByArgument {}
