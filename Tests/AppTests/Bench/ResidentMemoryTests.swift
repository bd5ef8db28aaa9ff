import App
import Testing

struct ResidentMemoryTests {
    @Test func thePeakIsReadInBytes() {
        #expect(
            ResidentMemory.peakByteCount(status: "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  123456 kB\nVmRSS:\t 1 kB\n")
                == 126_418_944)
    }

    @Test(arguments: [nil, "", "VmRSS:\t 1 kB\n", "VmHWM:\t many kB\n", "VmHWM:\t 12\n", "VmHWM:\t 12 MB\n"])
    func whatIsNotToldIsNotGuessed(status: String?) {
        #expect(ResidentMemory.peakByteCount(status: status) == nil)
    }
}
