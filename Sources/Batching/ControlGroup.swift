/// A control group that holds this process back in one of its resources.
struct ControlGroup: Equatable {
    enum Version {
        case one
        case two
    }

    let version: Version
    /// Where its files are.
    let folder: String

    /// The groups that this process is in for a resource, and every group above them that is visible, from the top down.
    /// Knows version 2 and version 1, alone or side by side.
    ///
    /// - Parameters:
    ///   - controller: the resource: `cpu`, `memory`.
    ///   - readFile: the text at an absolute path, nil where there is none.
    static func ofThisProcess(controller: String, readFile: (String) -> String?) -> [ControlGroup] {
        guard let membership = readFile("/proc/self/cgroup"), let mounts = readFile("/proc/self/mountinfo") else {
            return []
        }
        let memberships = membership.split(separator: "\n").compactMap {
            ControlGroupMembership(line: $0, controller: controller)
        }
        return mounts.split(separator: "\n").compactMap { ControlGroupMount(line: $0, controller: controller) }
            .flatMap { mount -> [ControlGroup] in
                guard let group = memberships.first(where: { $0.version == mount.version }) else { return [] }
                return mount.folders(to: group.path).map { ControlGroup(version: mount.version, folder: $0) }
            }
    }
}

/// A line of `/proc/self/cgroup`: `0::/path` in version 2, `4:cpu,cpuacct:/path` in version 1.
private struct ControlGroupMembership {
    let version: ControlGroup.Version
    let path: String

    init?(line: Substring, controller: String) {
        let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        if parts[1].isEmpty {
            version = .two
        } else if parts[1].split(separator: ",").contains(where: { $0 == controller }) {
            version = .one
        } else {
            return nil
        }
        path = String(parts[2])
    }
}

/// A line of `/proc/self/mountinfo` that mounts control groups:
/// `34 25 0:29 ROOT MOUNTPOINT rw,nosuid - cgroup2 cgroup2 rw`.
private struct ControlGroupMount {
    let version: ControlGroup.Version
    /// The group that the mount point shows.
    let root: String
    let point: String

    init?(line: Substring, controller: String) {
        let fields = line.split(separator: " ")
        guard fields.count > 5, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { return nil }
        switch fields[dash + 1] {
        case "cgroup2": version = .two
        case "cgroup":
            guard let options = fields.last, options.split(separator: ",").contains(where: { $0 == controller }) else {
                return nil
            }
            version = .one
        default: return nil
        }
        root = String(fields[3])
        point = String(fields[4])
    }

    /// The mount point's folders from its top down to the group.
    func folders(to path: String) -> [String] {
        // In a container the path may be the host's, and the mount show only a part of it.
        let inside = root != "/" && path.hasPrefix(root) ? path.dropFirst(root.count) : path[...]
        var folders = [point]
        // A path that leaves the mount ("/../…") is not visible here.
        for part in inside.split(separator: "/") where part != ".." {
            folders.append((folders.last ?? point) + "/" + part)
        }
        return folders
    }
}
