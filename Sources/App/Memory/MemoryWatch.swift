import CoreMetrics
import Logging
import ServiceLifecycle

/// Looks at the process's resident memory four times a second: near the limit it has new work refused until there is
/// room again, and what the allocator keeps for nobody it gives back.
struct MemoryWatch: Service, CustomStringConvertible {
    let limit: Int
    let pressure: MemoryPressure
    /// Whether nothing is being embedded.
    let isIdle: @Sendable () -> Bool
    let logger: Logger
    /// `ovenbird_resident_bytes`, and `ovenbird_memory_short`: 1 while new work is refused for it.
    private let residentBytes: Meter
    private let memoryShort: Meter

    /// A large body of JSON takes longer than that to arrive and to be parsed.
    private static let interval = Duration.milliseconds(250)

    init(
        limit: Int, pressure: MemoryPressure, isIdle: @escaping @Sendable () -> Bool, logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.limit = limit
        self.pressure = pressure
        self.isIdle = isIdle
        self.logger = logger
        residentBytes = Meter(label: "ovenbird_resident_bytes", factory: metrics)
        memoryShort = Meter(label: "ovenbird_memory_short", factory: metrics)
    }

    var description: String { "memory watch" }

    func run() async {
        await cancelWhenGracefulShutdown { await look() }
    }

    private func look() async {
        var gauge = ResidentMemory.Gauge()
        guard let idle = await Self.firstByteCount(of: &gauge) else { return }
        var state = MemoryWatchState(limit: limit, idle: idle)
        while await Self.rest() {
            guard let resident = gauge.currentByteCount() else { continue }
            residentBytes.set(Double(resident))
            let action = state.observe(resident: resident, isIdle: isIdle(), now: .now)
            if action.trims { Allocator.trim() }
            if let isHigh = action.pressure {
                pressure.isHigh = isHigh
                memoryShort.set(isHigh ? 1 : 0)
                let metadata: Logger.Metadata = ["resident_bytes": "\(resident)", "limit_bytes": "\(limit)"]
                if isHigh {
                    logger.warning("Memory is nearly used up; new work is refused", metadata: metadata)
                } else {
                    logger.info("There is memory again", metadata: metadata)
                }
            }
        }
    }

    /// What is resident before there is work. Where it is not told the watch goes on asking: its end would be the end of
    /// the process, whose services end together.
    ///
    /// - Returns: nil where the process is ending.
    private static func firstByteCount(of gauge: inout ResidentMemory.Gauge) async -> Int? {
        repeat {
            if let byteCount = gauge.currentByteCount() { return byteCount }
        } while await rest()
        return nil
    }

    /// False where the task is cancelled: the process is ending.
    private static func rest() async -> Bool {
        do {
            try await Task.sleep(for: interval)
            return true
        } catch { return false }
    }
}

/// Decides what the watch does about what it saw.
///
/// Memory
/// - is *ample* at first. Can go to: short.
/// - is *short* from the high-water mark on. Can go to: ample, below the low-water mark.
package struct MemoryWatchState: ~Copyable {
    package struct Action: Equatable {
        /// What free memory the allocator keeps is to be given back.
        package var trims = false
        /// Whether new work is to be refused from now on; nil: as before.
        package var pressure: Bool?
    }

    private let highWater: Int
    private let lowWater: Int
    private var isShort = false
    private var lastTrim: ContinuousClock.Instant?
    private var idleSince: ContinuousClock.Instant?
    private var wasTrimmedIdle = true
    /// The least that was resident since nothing was left to give back.
    private var trimmedByteCount: Int

    /// While memory is short; a trim walks the whole heap.
    private static let trimInterval = Duration.seconds(1)
    /// Of nothing to do, before what the last work left is given back.
    private static let idleTime = Duration.seconds(1)
    /// Growth that tells of work between two looks.
    private static let growth = 4 << 20

    /// New work is refused once nine tenths of what is free at the start are taken, since what was taken before may
    /// still grow, by its answers above all; and until they are eight.
    ///
    /// - Parameter idle: what is resident before the first request.
    package init(limit: Int, idle: Int) {
        let room = max(0, limit - idle)
        highWater = idle + room / 10 * 9
        lowWater = idle + room / 10 * 8
        trimmedByteCount = idle
    }

    package mutating func observe(resident: Int, isIdle: Bool, now: ContinuousClock.Instant) -> Action {
        var action = Action()
        if !isShort, resident >= highWater {
            isShort = true
            action.pressure = true
        } else if isShort, resident < lowWater {
            isShort = false
            action.pressure = false
        }
        if isShort, lastTrim.map({ $0.duration(to: now) >= Self.trimInterval }) ?? true {
            action.trims = true
        }
        if wasTrimmedIdle { trimmedByteCount = min(trimmedByteCount, resident) }
        if !isIdle || wasTrimmedIdle && resident > trimmedByteCount + Self.growth {
            idleSince = nil
            wasTrimmedIdle = false
        } else if let since = idleSince {
            if !wasTrimmedIdle, since.duration(to: now) >= Self.idleTime {
                action.trims = true
                wasTrimmedIdle = true
                // What it will be is seen at the next look.
                trimmedByteCount = resident
            }
        } else {
            idleSince = now
        }
        if action.trims { lastTrim = now }
        return action
    }
}
