#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Where one thread lets others help with its passes: a lone text on an idle machine is computed by several cores.
///
/// Every member walks the same pass and claims the parts of each step one by one, so helpers may come late, leave between
/// two parts, or never come: what nobody claims, the leader does. Whoever waits, waits for parts that another member is
/// computing at that moment. How a step is divided changes no bit of its result.
///
/// `@unchecked`: `pass` and `steps` are written by the leader, only while no helper is inside, which `door` knows.
package final class Gang: @unchecked Sendable {
    /// Threads that parts are made for, the leader included.
    package let memberLimit: Int
    private let nanosecondsOfPart: Int
    private let door = GangDoor()
    private var steps = GangSteps(count: 0)
    private var pass: Pass?

    /// More even out what some members lose, for instance to another process.
    private static let partsOfMember = 4

    // A pause lasts some 15 to 50 ns.
    /// Until a helper leaves a gang where no pass opens: longer than from a leader's decision to its first step.
    private static let pausesForPass = 2_000
    /// Until the leader walks alone, since a helper of its last pass has not left yet.
    private static let pausesForEmptiness = 500
    /// Until a member that waits for a part lets other threads run.
    private static let pausesForPart = 1_000

    /// - Parameter partTime: what a part should at least take one core. 3 µs: shorter ones cost more to hand out than a
    ///   second core saves.
    package init(memberLimit: Int, partTime: Duration = .microseconds(3)) {
        precondition(memberLimit >= 1)
        self.memberLimit = memberLimit
        nanosecondsOfPart = max(1, Int(partTime / .nanoseconds(1)))
    }

    /// Walks a pass with whoever helps.
    ///
    /// - Parameters:
    ///   - workspace: the leader's.
    ///   - isLast: whether helpers need not wait for another pass.
    ///   - betweenSteps: called on the calling thread between two steps of a layer.
    func lead(_ pass: Pass, workspace: EncoderWorkspace, isLast: Bool, betweenSteps: () -> Void = {}) {
        guard door.becomesEmpty(pauses: Self.pausesForEmptiness) else {
            var crew = Crew(workspace: workspace)
            return pass.walk(&crew, betweenSteps: betweenSteps)
        }
        self.pass = pass
        steps.begin(count: pass.stepLimit)
        door.open(isLast: isLast)
        var crew = Crew(workspace: workspace, gang: self, recall: nil)
        pass.walk(&crew, betweenSteps: betweenSteps)
        door.close()
    }

    /// Helps with the passes that open, until the last of them is done, none opens for some microseconds, or the
    /// thread is called back.
    ///
    /// - Parameter workspace: the calling thread's own.
    /// - Returns: passes it came in time for.
    @discardableResult
    package func help(workspace: EncoderWorkspace, recall: Recall) -> Int {
        var count = 0
        var pauses = 0
        var number: UInt64 = 0
        while !recall.isSet, pauses < Self.pausesForPass {
            guard let visit = door.enter(after: number) else {
                pauses += 1
                Kernels.pause()
                continue
            }
            pass?.help(workspace, gang: self, recall: recall)
            door.leave()
            count += 1
            if visit.isLast { break }
            number = visit.number
            pauses = 0
        }
        return count
    }

    /// Parts of a step that takes one core about so long, and has `count` things to do: members that work alike have alike
    /// many.
    func partCount(of count: Int, nanoseconds: Int) -> Int {
        let parts = max(1, min(count, nanoseconds / nanosecondsOfPart, Self.partsOfMember * memberLimit))
        return parts > memberLimit ? parts - parts % memberLimit : parts
    }

    /// Claims parts of a step until all are claimed, and waits until all are done. False if the member was called back.
    func work(step: Int, partCount: Int, recall: Recall?, _ body: (Int) -> Void) -> Bool {
        var part = steps.claim(step)
        while part < partCount {
            body(part)
            if let recall, recall.isSet {
                steps.finish(step)
                return false
            }
            part = steps.finishAndClaim(step)
        }
        var pauses = 0
        while steps.doneCount(step) < partCount {
            if let recall, recall.isSet { return false }
            pauses += 1
            if pauses < Self.pausesForPart { Kernels.pause() } else { _ = sched_yield() }
        }
        return true
    }
}
