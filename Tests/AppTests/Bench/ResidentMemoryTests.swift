import App
import Foundation
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

    /// One that is opened for each look fails where all descriptors are taken.
    @Test func aGaugeKeepsWhatItOpened() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "statm-\(UUID().uuidString)")
        var gauge = ResidentMemory.Gauge(path: file.path)
        let early = gauge.currentByteCount()
        #expect(early == nil)
        try Data("9000 250 30 1 0 500 0\n".utf8).write(to: file)
        let late = gauge.currentByteCount()
        let first = try #require(late, "it is opened once it can be")
        try FileManager.default.removeItem(at: file)
        let second = gauge.currentByteCount()
        #expect(first > 0 && second == first)
    }

    #if os(Linux)
        @Test func aGaugeIsReadAgainAndAgain() {
            var gauge = ResidentMemory.Gauge()
            for _ in 0..<3 {
                let byteCount = gauge.currentByteCount()
                #expect(byteCount.map { $0 > 1 << 20 } == true)
            }
        }
    #endif
}
