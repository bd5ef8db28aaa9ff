import Batching
import Testing

struct ProcessorAllowanceTests {
    private func quota(_ files: [String: String]) -> Double? {
        ProcessorAllowance.quotaCoreCount { files[$0] }
    }

    @Test func quotaCutsAffinityAndIsRoundedUp() {
        #expect(ProcessorAllowance(affinityCoreCount: 8, quotaCoreCount: nil).threadCount == 8)
        #expect(ProcessorAllowance(affinityCoreCount: 8, quotaCoreCount: 1.5).threadCount == 2)
        #expect(ProcessorAllowance(affinityCoreCount: 2, quotaCoreCount: 6).threadCount == 2)
        #expect(ProcessorAllowance(affinityCoreCount: 2, quotaCoreCount: 0.1).threadCount == 1)
        #expect(ProcessorAllowance(affinityCoreCount: 2, quotaCoreCount: 1e300).threadCount == 2)
    }

    private let mountOfVersion2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

    @Test func version2TakesTheSmallestQuotaUpTheTree() {
        #expect(
            quota([
                "/proc/self/cgroup": "0::/kube/pod/app\n", "/proc/self/mountinfo": mountOfVersion2,
                "/sys/fs/cgroup/kube/cpu.max": "400000 100000\n",
                "/sys/fs/cgroup/kube/pod/cpu.max": "150000 100000\n",
                "/sys/fs/cgroup/kube/pod/app/cpu.max": "max 100000\n",
            ]) == 1.5)
    }

    @Test func version2InsideANamespace() {
        #expect(
            quota([
                "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountOfVersion2,
                "/sys/fs/cgroup/cpu.max": "50000 100000\n",
            ]) == 0.5)
    }

    @Test func version1BesideVersion2() {
        #expect(
            quota([
                "/proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/docker/x\n0::/\n",
                "/proc/self/mountinfo": """
                30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
                31 23 0:27 /docker/x /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:9 - cgroup cgroup rw,cpu,cpuacct
                32 23 0:28 /docker/x /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset
                """,
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            ]) == 3)
    }

    @Test(arguments: ["-1\n", "0\n", "many\n", ""])
    func version1WithoutAQuota(text: String) {
        #expect(
            quota([
                "/proc/self/cgroup": "1:cpu:/\n",
                "/proc/self/mountinfo": "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": text, "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            ]) == nil)
    }

    @Test func missingOrOddFilesStateNoQuota() {
        #expect(quota([:]) == nil)
        #expect(quota(["/proc/self/cgroup": "odd\n0:", "/proc/self/mountinfo": "1 2 3 - cgroup2\n\n"]) == nil)
        #expect(
            quota([
                "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountOfVersion2,
                "/sys/fs/cgroup/cpu.max": "100000\n",
            ]) == nil)
    }

    @Test(
        arguments: [("0-1", 2), ("0", 1), ("0-3,8,10-11", 7), ("", nil), ("3-1", nil), ("x", nil)] as [(String, Int?)])
    func affinityIsTheListedCores(list: String, count: Int?) {
        let status = "Name:\tovenbird\nCpus_allowed:\tff\nCpus_allowed_list:\t\(list)\nMems_allowed:\t1\n"
        #expect(ProcessorAllowance.affinityCoreCount { $0 == "/proc/self/status" ? status : nil } == count)
    }

    @Test func thisProcessMayUseAtLeastOneCore() {
        let allowance = ProcessorAllowance.current()
        #expect(allowance.affinityCoreCount >= 1)
        #expect((1...allowance.affinityCoreCount).contains(allowance.threadCount))
    }
}
