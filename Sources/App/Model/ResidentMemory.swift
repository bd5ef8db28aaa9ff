import Foundation

/// What the kernel says of this process's memory; nothing where it is not Linux's.
package enum ResidentMemory {
    /// What is resident now; nil where it is not told.
    package static func currentByteCount() -> Int? {
        currentByteCount(
            statistics: try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            pageByteCount: Int(sysconf(Int32(_SC_PAGESIZE))))
    }

    /// `size resident shared …` in pages, of `/proc/self/statm`.
    package static func currentByteCount(statistics: String?, pageByteCount: Int) -> Int? {
        let fields = statistics?.split(separator: " ") ?? []
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * pageByteCount
    }

    /// The most that was resident since the start, or since `forgetPeak()`; nil where it is not told.
    package static func peakByteCount() -> Int? {
        // Where there is no such file there is nothing to tell.
        peakByteCount(status: try? String(contentsOfFile: "/proc/self/status", encoding: .utf8))
    }

    /// `VmHWM:    123456 kB` of `/proc/self/status`.
    package static func peakByteCount(status: String?) -> Int? {
        let label = "VmHWM:"
        guard let line = status?.split(separator: "\n").first(where: { $0.hasPrefix(label) }) else { return nil }
        let fields = line.dropFirst(label.count).split { $0 == " " || $0 == "\t" }
        guard fields.count == 2, fields[1] == "kB", let kibibytes = Int(fields[0]) else { return nil }
        return kibibytes * 1024
    }

    /// Lets the peak begin anew at what is resident now, where the kernel allows that.
    package static func forgetPeak() {
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        file.writeOrLose("5")  // proc(5): resets the peak and nothing else
        try? file.close()  // nothing was buffered
    }

    /// Looks again and again, through one descriptor that it keeps: a server whose clients hold all the others still sees
    /// what it takes.
    package struct Gauge {
        private let path: String
        private var file: FileHandle?

        package init(path: String = "/proc/self/statm") {
            self.path = path
            file = FileHandle(forReadingAtPath: path)
        }

        /// What is resident now; nil where it is not told, which the next look may find otherwise.
        package mutating func currentByteCount() -> Int? {
            file = file ?? FileHandle(forReadingAtPath: path)
            guard let file else { return nil }
            do {
                // The kernel writes the file anew for whoever reads it from its start.
                try file.seek(toOffset: 0)
                let bytes = try file.read(upToCount: Self.maximumByteCount) ?? Data()
                return ResidentMemory.currentByteCount(
                    statistics: String(decoding: bytes, as: UTF8.self), pageByteCount: Int(sysconf(Int32(_SC_PAGESIZE)))
                )
            } catch { return nil }
        }

        /// Seven numbers.
        private static let maximumByteCount = 256
    }
}
