import Foundation

/// The memory that this process may use: what it was told, else the least limit of its control groups, else all that
/// the machine has.
package struct MemoryAllowance: Sendable, Equatable {
    package enum Source: String, Sendable {
        case option
        case controlGroup = "control_group"
        case physicalMemory = "physical_memory"
    }

    package let byteCount: Int
    package let source: Source

    package init(byteCount: Int, source: Source) {
        self.byteCount = byteCount
        self.source = source
    }

    /// - Parameter option: what the operator said, nil where nothing.
    package static func current(option: Int?) -> MemoryAllowance {
        if let option { return MemoryAllowance(byteCount: option, source: .option) }
        let physical = Int(clamping: ProcessInfo.processInfo.physicalMemory)
        // A file that is missing or unreadable states no limit.
        let group = controlGroupByteCount { try? String(contentsOfFile: $0, encoding: .utf8) }
        // Version 1 says "no limit" with a number that no machine has.
        guard let group, group < physical else {
            return MemoryAllowance(byteCount: physical, source: .physicalMemory)
        }
        return MemoryAllowance(byteCount: group, source: .controlGroup)
    }

    /// The smallest limit of the process's own groups and of those above them; nil where none states one. Knows version
    /// 2 (`memory.max`) and version 1 (`memory.limit_in_bytes`).
    ///
    /// - Parameter readFile: the text at an absolute path, nil where there is none.
    package static func controlGroupByteCount(readFile: (String) -> String?) -> Int? {
        ControlGroup.ofThisProcess(controller: "memory", readFile: readFile).compactMap { group in
            let file =
                switch group.version {
                case .one: "memory.limit_in_bytes"
                case .two: "memory.max"
                }
            // "max" is no number.
            return readFile(group.folder + "/" + file)
                .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
                .flatMap { $0 >= 0 ? $0 : nil }
        }.min()
    }
}
