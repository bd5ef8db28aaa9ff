import Embeddings
import Foundation
import Inference
import Synchronization

/// What passes of one size took.
package struct SizeTiming: Sendable, Equatable {
    package let size: SweepSize
    package let threadCount: Int
    /// Of every pass on any thread, in ascending order; at least one.
    package let passSeconds: [Double]
    /// Of all threads together, over the time in which they ran.
    package let tokensPerSecond: Double
    /// Scratch memory of all threads.
    package let scratchByteCount: Int
    /// The process's greatest resident memory while it ran; nil where the system does not tell.
    package let peakResidentByteCount: Int?

    /// - Precondition: at least one pass.
    package init(
        size: SweepSize, threadCount: Int, passSeconds: [Double], tokensPerSecond: Double, scratchByteCount: Int,
        peakResidentByteCount: Int?
    ) {
        precondition(!passSeconds.isEmpty)
        self.size = size
        self.threadCount = threadCount
        self.passSeconds = passSeconds.sorted()
        self.tokensPerSecond = tokensPerSecond
        self.scratchByteCount = scratchByteCount
        self.peakResidentByteCount = peakResidentByteCount
    }

    /// The median pass.
    package var latencySeconds: Double {
        let middle = passSeconds.count / 2
        return passSeconds.count.isMultiple(of: 2)
            ? (passSeconds[middle - 1] + passSeconds[middle]) / 2 : passSeconds[middle]
    }

    /// Both together, as if they had been one. Of resident memory the lesser peak counts: what sizes before left behind
    /// in the heap is not this one's.
    ///
    /// - Precondition: of one size and as many threads.
    package func joined(with other: SizeTiming) -> SizeTiming {
        precondition(size == other.size && threadCount == other.threadCount)
        let (own, others) = (passSeconds.reduce(0, +), other.passSeconds.reduce(0, +))
        return SizeTiming(
            size: size, threadCount: threadCount, passSeconds: passSeconds + other.passSeconds,
            tokensPerSecond: (tokensPerSecond * own + other.tokensPerSecond * others) / (own + others),
            scratchByteCount: max(scratchByteCount, other.scratchByteCount),
            peakResidentByteCount: [peakResidentByteCount, other.peakResidentByteCount].compactMap(\.self).min())
    }

    /// What one sequence of the batch sees: its tokens over the median pass.
    package var tokensPerSecondPerSequence: Double { Double(size.length) / latencySeconds }
}

/// Times passes of one size on threads of their own, each with its own sequences and scratch memory: the encoder alone,
/// without tokenizer, queue and scheduler.
struct SizeTimer: Sendable {
    let encoder: EncoderModel
    let layout: BatchLayout
    let threadCount: Int
    /// What each thread runs for; one pass at least.
    let seconds: Double
    let paddingID: Int32

    /// Of one thread; bounds the memory of the smallest passes' times.
    private static let mostPassCount = 1_000_000

    private struct ThreadTiming: Sendable {
        var passSeconds: [Double] = []
        var scratchByteCount = 0

        /// Passes a second, over the time in which this thread ran.
        var rate: Double { Double(passSeconds.count) / passSeconds.reduce(0, +) }
    }

    /// - Parameter sequences: of each thread, all of the size's length.
    func time(_ size: SweepSize, sequences: [[TokenSequence]]) async -> SizeTiming {
        precondition(sequences.count == threadCount)
        ResidentMemory.forgetPeak()
        let timings = await withCheckedContinuation { continuation in
            let crew = Crew(count: threadCount) { continuation.resume(returning: $0) }
            for place in 0..<threadCount {
                let batch = PaddedBatch(sequences[place], paddingID: paddingID)
                let thread = Thread { crew.finish(time(batch, crew)) }
                thread.name = "bench-\(place)"
                thread.stackSize = 8 << 20
                thread.start()
            }
        }
        let tokenCount = Double(size.batch * size.length)
        return SizeTiming(
            size: size, threadCount: threadCount, passSeconds: timings.flatMap(\.passSeconds),
            tokensPerSecond: timings.reduce(0) { $0 + $1.rate * tokenCount },
            scratchByteCount: timings.reduce(0) { $0 + $1.scratchByteCount },
            peakResidentByteCount: ResidentMemory.peakByteCount())
    }

    private func time(_ batch: PaddedBatch, _ crew: Crew) -> ThreadTiming {
        let workspace = encoder.makeWorkspace(
            maximumTokenCount: batch.rectangleTokenCount, maximumSequenceLength: batch.width)
        // Written over by every pass; a pass allocates nothing.
        var vectors = [Float](repeating: 0, count: batch.count * encoder.dimensions)
        func encode() {
            vectors.withUnsafeMutableBufferPointer { vectors in
                encoder.encode(batch, layout: layout, workspace: workspace, into: vectors)
            }
        }
        encode()
        crew.waitForAll()
        var timing = ThreadTiming()
        let start = ContinuousClock.now
        var last = start
        repeat {
            encode()
            let now = ContinuousClock.now
            timing.passSeconds.append(Double(seconds: now - last))
            last = now
        } while last - start < .seconds(seconds) && timing.passSeconds.count < Self.mostPassCount
        timing.scratchByteCount = workspace.byteCount
        return timing
    }

    /// Threads that begin together and whose last one reports. An atomic counts those that are ready; a `Mutex` guards
    /// what they measured.
    private final class Crew: Sendable {
        private let count: Int
        private let readyCount = Atomic(0)
        private let timings = Mutex<[ThreadTiming]>([])
        private let report: @Sendable ([ThreadTiming]) -> Void

        init(count: Int, report: @escaping @Sendable ([ThreadTiming]) -> Void) {
            self.count = count
            self.report = report
        }

        /// Returns when every thread is here; each has its pass to warm up behind it, so that is soon.
        func waitForAll() {
            readyCount.add(1, ordering: .acquiringAndReleasing)
            while readyCount.load(ordering: .acquiring) < count { usleep(100) }
        }

        func finish(_ timing: ThreadTiming) {
            let all = timings.withLock { timings in
                timings.append(timing)
                return timings
            }
            if all.count == count { report(all) }
        }
    }
}
