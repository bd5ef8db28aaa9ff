import Foundation

/// The cores that this process may use: its affinity, cut by the CPU quota of its control group and of every group
/// above it.
package struct ProcessorAllowance: Sendable, Equatable {
    /// Cores that the scheduler may put the process on.
    package let affinityCoreCount: Int
    /// Cores' worth of time that the control groups allow; nil without a quota.
    package let quotaCoreCount: Double?

    package init(affinityCoreCount: Int, quotaCoreCount: Double?) {
        self.affinityCoreCount = affinityCoreCount
        self.quotaCoreCount = quotaCoreCount
    }

    /// Threads that can be kept busy, at least 1. A quota of 1.5 cores gives 2: one thread could not use what was
    /// given.
    package var threadCount: Int {
        guard let quotaCoreCount else { return max(1, affinityCoreCount) }
        return max(1, min(affinityCoreCount, Int(min(quotaCoreCount, 1e6).rounded(.up))))
    }

    /// What holds now, as `/proc/self` and the control groups say.
    package static func current() -> ProcessorAllowance {
        func read(_ path: String) -> String? {
            // A file that is missing or unreadable states no limit.
            try? String(contentsOfFile: path, encoding: .utf8)
        }
        return ProcessorAllowance(
            affinityCoreCount: affinityCoreCount(readFile: read) ?? ProcessInfo.processInfo.activeProcessorCount,
            quotaCoreCount: quotaCoreCount(readFile: read))
    }

    /// Cores in the list `Cpus_allowed_list` of `/proc/self/status`, `0-3,8`: the affinity with which the process
    /// began, or was given since, cut by its cpuset. Nil where there is no such list.
    package static func affinityCoreCount(readFile: (String) -> String?) -> Int? {
        let label = "Cpus_allowed_list:"
        guard let status = readFile("/proc/self/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix(label) })
        else { return nil }
        var count = 0
        for part in line.dropFirst(label.count).filter({ !$0.isWhitespace }).split(separator: ",") {
            let bounds = part.split(separator: "-").map { Int($0) }
            guard let first = bounds.first ?? nil, let last = bounds.last ?? nil, first <= last else { return nil }
            count += last - first + 1
        }
        return count > 0 ? count : nil
    }

    /// The smallest quota of the process's own groups and of those above them, in cores. Knows version 2 (`cpu.max`)
    /// and version 1 (`cpu.cfs_quota_us`), alone or side by side.
    ///
    /// - Parameter readFile: the text at an absolute path, nil where there is none.
    package static func quotaCoreCount(readFile: (String) -> String?) -> Double? {
        ControlGroup.ofThisProcess(controller: "cpu", readFile: readFile).compactMap { group in
            quota(of: group.folder, group.version, readFile)
        }.min()
    }

    private static func quota(
        of folder: String, _ version: ControlGroup.Version, _ readFile: (String) -> String?
    ) -> Double? {
        let numbers: [Double?]
        switch version {
        case .two:
            // "150000 100000", or "max 100000".
            numbers = readFile(folder + "/cpu.max")?.split(whereSeparator: \.isWhitespace).map { Double($0) } ?? []
        case .one:
            // -1 where there is no quota.
            numbers = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map { file in
                readFile(folder + "/" + file).flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            }
        }
        guard numbers.count == 2, let allowed = numbers[0], let period = numbers[1], allowed > 0, period > 0 else {
            return nil
        }
        return allowed / period
    }
}
