import App
import Testing

struct MemoryWatchTests {
    private let start = ContinuousClock.now
    private func after(_ seconds: Double) -> ContinuousClock.Instant { start.advanced(by: .seconds(seconds)) }

    @Test func newWorkIsRefusedFromTheHighMarkToTheLowOne() {
        // Idle at 200, so the marks stand at 920 and 840.
        var state = MemoryWatchState(limit: 1_000, idle: 200)
        #expect(state.observe(resident: 919, isIdle: false, now: after(0)).pressure == nil)
        #expect(state.observe(resident: 920, isIdle: false, now: after(0.25)).pressure == true)
        #expect(state.observe(resident: 930, isIdle: false, now: after(0.5)).pressure == nil)
        #expect(state.observe(resident: 841, isIdle: false, now: after(0.75)).pressure == nil)
        #expect(state.observe(resident: 839, isIdle: false, now: after(1)).pressure == false)
        #expect(state.observe(resident: 900, isIdle: false, now: after(1.25)).pressure == nil)
    }

    @Test func anIdleServerNearItsLimitTakesWork() {
        var state = MemoryWatchState(limit: 1_000, idle: 990)
        #expect(state.observe(resident: 990, isIdle: true, now: after(0)).pressure == nil)
    }

    @Test func shortMemoryIsTrimmedOnceASecond() {
        var state = MemoryWatchState(limit: 1_000, idle: 200)
        let trims = (0..<9).map { state.observe(resident: 990, isIdle: false, now: after(Double($0) / 4)).trims }
        #expect(trims == [true, false, false, false, true, false, false, false, true])
    }

    @Test func whatWorkLeftIsGivenBackOnceItHasRested() {
        var state = MemoryWatchState(limit: 1_000, idle: 200)
        func look(_ seconds: Double, isIdle: Bool) -> Bool {
            state.observe(resident: 300, isIdle: isIdle, now: after(seconds)).trims
        }
        #expect(!look(0, isIdle: true) && !look(2, isIdle: true), "nothing was done yet")
        #expect(!look(3, isIdle: false) && !look(3.25, isIdle: true) && !look(4, isIdle: true))
        #expect(look(4.25, isIdle: true))
        #expect(!look(6, isIdle: true) && !look(60, isIdle: true))
        #expect(!look(61, isIdle: false) && !look(62, isIdle: true) && look(63, isIdle: true))
    }

    /// Parsed bodies, and work that began and ended between two looks.
    @Test func whatGrewUnseenIsGivenBackToo() {
        var state = MemoryWatchState(limit: 1 << 30, idle: 100 << 20)
        func look(_ seconds: Double, _ mebibytes: Int) -> Bool {
            state.observe(resident: mebibytes << 20, isIdle: true, now: after(seconds)).trims
        }
        #expect(!look(0, 100) && !look(1, 103) && !look(3, 103), "too little to look for")
        #expect(!look(4, 200) && !look(4.25, 200) && !look(5, 200) && look(5.25, 200))
        #expect(!look(5.5, 101) && !look(10, 101))
        #expect(!look(11, 200) && !look(11.25, 200) && look(12.25, 200))
        #expect(!look(13, 200) && !look(20, 200), "it is in use")
    }

    @Test func residentMemoryIsReadFromTheSecondField() {
        #expect(
            ResidentMemory.currentByteCount(statistics: "9000 250 30 1 0 500 0\n", pageByteCount: 4_096) == 1_024_000)
        #expect(ResidentMemory.currentByteCount(statistics: "9000", pageByteCount: 4_096) == nil)
        #expect(ResidentMemory.currentByteCount(statistics: nil, pageByteCount: 4_096) == nil)
        #if os(Linux)
            #expect((ResidentMemory.currentByteCount() ?? 0) > 1 << 20)
        #endif
    }
}
