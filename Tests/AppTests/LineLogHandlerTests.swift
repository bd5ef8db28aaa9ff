import App
import Foundation
import Logging
import Synchronization
import Testing

struct LineLogHandlerTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private func line(_ format: LineLogHandler.Format) throws -> String {
        let lines = Lines()
        let handler = LineLogHandler(label: "test", level: .info, format: format) { line in
            lines.all.withLock { $0.append(line) }
        }
        var logger = Logger(label: "test", factory: { _ in handler })
        logger[metadataKey: "request_id"] = "r 1"
        logger.debug("not this one")
        logger.info("Listening", metadata: ["port": "8080"])
        return try #require(lines.all.withLock { $0.count == 1 ? $0.first : nil })
    }

    @Test func textIsOneLineWithQuotedValues() throws {
        #expect(try line(.text).hasSuffix(" info Listening port=8080 request_id=\"r 1\"\n"))
    }

    @Test func linesThatNobodyReadsAreLost() throws {
        signal(SIGPIPE, SIG_IGN)  // as a server does
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        pipe.fileHandleForWriting.writeOrLose("line\n")
    }

    @Test func jsonIsOneObjectALine() throws {
        let line = try line(.json)
        #expect(line.hasSuffix(#""level":"info","message":"Listening","port":"8080","request_id":"r 1"}"# + "\n"))
    }
}
