/// Which passes idle threads may help with, and which threads do. Numbers are those of the compute threads.
struct OpenGangs {
    private struct OpenGang {
        let leader: Int
        /// All that ever came: a thread helps with a pass once.
        var helpers: [Int] = []
    }

    private let helperLimit: Int
    private var gangs: [OpenGang] = []
    // The last come last.
    private var helpers: [Int] = []

    /// Threads that help now.
    var helperCount: Int { helpers.count }
    var helperThreads: [Int] { helpers }

    /// - Parameter memberLimit: of a gang, the leader included.
    init(memberLimit: Int) {
        helperLimit = memberLimit - 1
    }

    /// Whether there is anything to open.
    var arePossible: Bool { helperLimit > 0 }

    mutating func open(leader: Int) {
        close(leader: leader)
        gangs.append(OpenGang(leader: leader))
    }

    mutating func close(leader: Int) {
        gangs.removeAll { $0.leader == leader }
    }

    /// The leader that the thread now helps, and whether more may come; nil where it is not needed.
    mutating func join(thread: Int) -> (leader: Int, wantsMore: Bool)? {
        guard
            let index = gangs.firstIndex(where: {
                $0.helpers.count < helperLimit && $0.leader != thread && !$0.helpers.contains(thread)
            })
        else { return nil }
        gangs[index].helpers.append(thread)
        helpers.append(thread)
        return (gangs[index].leader, gangs[index].helpers.count < helperLimit)
    }

    /// The thread came back.
    mutating func left(thread: Int) {
        helpers.removeAll { $0 == thread }
    }

    /// Up to so many helpers, for other work; they are called back once.
    mutating func callBack(_ count: Int) -> [Int] {
        let called = Array(helpers.suffix(count))
        helpers.removeLast(called.count)
        return called
    }
}
