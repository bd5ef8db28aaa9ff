package import Embeddings
import Synchronization

/// Remembers the last passes, and sums, for people who watch. It costs a pass one small array and two short locks, whether
/// anybody watches or not, and never grows beyond its capacity.
///
/// A Mutex: threads write a few fields, a watcher reads them a few times a second.
package final class PassJournal: Sendable {
    private struct State {
        /// A ring: the pass that ended as the `n`th lies at `n % capacity`.
        var ended: [PassRecord] = []
        var endedCount: UInt64 = 0
        var running: [PassRecord] = []
        var totals = BatchingTotals()
        var refusals: [FailureCause: Int] = [:]
    }

    private let state = Mutex(State())
    private let capacity: Int
    private let excerptLimit: Int

    /// Lengths that one excerpt tells: some 40 kB as text.
    private static let excerptLengthLimit = 8_192

    /// - Parameters:
    ///   - capacity: passes that are remembered: half a second of the shortest ones on two threads.
    ///   - excerptLimit: passes that one excerpt tells; four a second are as many as a picture can show.
    package init(capacity: Int = 1_024, excerptLimit: Int = 256) {
        precondition(capacity >= 1 && excerptLimit >= 1)
        self.capacity = capacity
        self.excerptLimit = min(excerptLimit, capacity)
    }

    /// - Parameter now: when it happened.
    package func record(_ event: BatchingEvent, now: ContinuousClock.Instant) {
        switch event {
        case .passBegan(let pass): began(pass)
        case .passEnded(let pass, _): ended(pass, now: now)
        case .dropped(let sequenceCount):
            state.withLock { $0.totals.droppedTextCount += sequenceCount }
        case .discarded(let sequenceCount):
            state.withLock { $0.totals.discardedTextCount += sequenceCount }
        case .refused(let error):
            state.withLock { $0.refusals[FailureCause(error), default: 0] += 1 }
        case .admitted, .tokenized, .threadLost: break
        }
    }

    /// Everything but the lanes and the calls, which the scheduler knows.
    ///
    /// - Parameter cursor: that of the last excerpt; 0 for as much as is told at once.
    package func excerpt(after cursor: UInt64, now: ContinuousClock.Instant) -> BatchingActivity {
        state.withLock { state in
            let newCount = state.endedCount - min(cursor, state.endedCount)
            var passes: [PassRecord] = []
            var lengthCount = 0
            // From the newest back, for as long as they fit.
            for offset in 0..<min(newCount, UInt64(excerptLimit), UInt64(state.ended.count)) {
                let pass = state.ended[Int((state.endedCount - 1 - offset) % UInt64(capacity))]
                lengthCount += pass.lengths.count
                if lengthCount > Self.excerptLengthLimit, !passes.isEmpty { break }
                passes.append(pass)
            }
            passes.reverse()
            var totals = state.totals
            totals.refusals = Dictionary(uniqueKeysWithValues: state.refusals.map { ($0.key.rawValue, $0.value) })
            return BatchingActivity(
                moment: now, passes: passes, missedPassCount: Int(newCount) - passes.count, cursor: state.endedCount,
                runningPasses: state.running, totals: totals)
        }
    }

    private func began(_ pass: Pass) {
        let record = PassRecord(pass)
        state.withLock { state in
            // A thread that begins another pass has ended its last one, even if nobody said so: it was given up.
            if !record.isInterlude { state.running.removeAll { $0.thread == record.thread } }
            state.running.append(record)
        }
    }

    private func ended(_ pass: Pass, now: ContinuousClock.Instant) {
        let rectangleTokenCount = pass.rectangleTokenCount
        state.withLock { state in
            let place = state.running.lastIndex { $0.number == pass.number }
            var record = place.map { state.running.remove(at: $0) } ?? PassRecord(pass)
            record.duration = pass.startedAt.duration(to: now)
            if state.ended.count < capacity {
                state.ended.append(record)
            } else {
                state.ended[Int(state.endedCount % UInt64(capacity))] = record
            }
            state.endedCount += 1
            state.totals.passCount += 1
            state.totals.textCount += record.sequenceCount
            state.totals.tokenCount += record.tokenCount
            state.totals.rectangleTokenCount += rectangleTokenCount
        }
    }
}

extension PassRecord {
    fileprivate init(_ pass: Pass) {
        self.init(
            number: pass.number, thread: pass.thread, lane: pass.lane, isShared: pass.gangLeader != nil,
            isInterlude: pass.isInterlude,
            startedAt: pass.startedAt, sequenceCount: pass.sequenceCount, tokenCount: pass.tokenCount,
            width: pass.width, lengths: pass.entries.prefix(Self.lengthLimit).map { UInt16(clamping: $0.tokenCount) })
    }
}
