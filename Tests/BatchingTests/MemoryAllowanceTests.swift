import Batching
import Testing

struct MemoryAllowanceTests {
    private func limit(_ files: [String: String]) -> Int? {
        MemoryAllowance.controlGroupByteCount { files[$0] }
    }

    private let mountOfVersion2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    private let mountOfVersion1 = "34 24 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

    @Test func version2TakesTheSmallestLimitUpTheTree() {
        #expect(
            limit([
                "/proc/self/cgroup": "0::/kube/pod/app\n", "/proc/self/mountinfo": mountOfVersion2,
                "/sys/fs/cgroup/kube/memory.max": "4294967296\n",
                "/sys/fs/cgroup/kube/pod/memory.max": "536870912\n",
                "/sys/fs/cgroup/kube/pod/app/memory.max": "max\n",
            ]) == 536_870_912)
    }

    @Test func version1TakesTheSmallestLimitUpTheTree() {
        #expect(
            limit([
                "/proc/self/cgroup": "4:memory:/docker/x\n3:cpu:/docker/y\n", "/proc/self/mountinfo": mountOfVersion1,
                "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "268435456\n",
                "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n",
            ]) == 268_435_456)
    }

    /// Both versions can be mounted, with the controllers shared between them.
    @Test func bothVersionsSideBySide() {
        #expect(
            limit([
                "/proc/self/cgroup": "4:memory:/x\n0::/y\n",
                "/proc/self/mountinfo": mountOfVersion1
                    + "36 24 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n",
                "/sys/fs/cgroup/unified/y/memory.max": "2000\n",
            ]) == 1_000)
    }

    @Test func groupsOfOtherResourcesSayNothing() {
        #expect(
            limit([
                "/proc/self/cgroup": "4:cpu,cpuacct:/x\n",
                "/proc/self/mountinfo": "34 24 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
                "/sys/fs/cgroup/cpu/x/memory.limit_in_bytes": "1000\n",
            ]) == nil)
    }

    @Test(arguments: ["", "max", "-1", "many", "12 MB"])
    func oddTextsStateNoLimit(text: String) {
        #expect(
            limit([
                "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountOfVersion2,
                "/sys/fs/cgroup/memory.max": text,
            ]) == nil)
    }

    @Test func missingFilesStateNoLimit() {
        #expect(limit([:]) == nil)
        #expect(limit(["/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountOfVersion2]) == nil)
    }

    @Test func whatTheOperatorSaysWins() {
        #expect(MemoryAllowance.current(option: 5) == MemoryAllowance(byteCount: 5, source: .option))
    }

    @Test func thisMachineHasMemory() {
        let allowance = MemoryAllowance.current(option: nil)
        #expect(allowance.byteCount > 1 << 20 && allowance.source != .option)
    }
}
