package import Embeddings
import Foundation
import Synchronization

/// What the processor can do at best, to measure the encoder by.
package enum MachinePeak {
    /// Operations a second of so many threads together, a multiplication and an addition being two: bare loops of the
    /// instruction that the dense layers multiply and add with, on the kernels that the environment chooses.
    ///
    /// - Parameter seconds: how long to measure; the best of ten pieces of it counts, all threads at once.
    package static func measure(precision: Precision, threads: Int, seconds: Double) -> Double {
        // What the environment names was refused already where a model was read, if it is nothing.
        guard let chosen = try? InstructionSet.chosen(), let kernels = Kernels(chosen) else { return 0 }
        let (_, time) = timed(kernels, precision, stepCount: 10_000)
        let stepCount = max(10_000, Int(10_000 * seconds / 10 / max(time, 1e-6)))
        return (0..<10).map { _ in
            let operations = Atomic(0)
            let finished = DispatchGroup()
            let start = ContinuousClock.now
            for _ in 0..<threads {
                finished.enter()
                Thread {
                    operations.wrappingAdd(kernels.spin(precision, stepCount: stepCount), ordering: .relaxed)
                    finished.leave()
                }.start()
            }
            finished.wait()
            return Double(operations.load(ordering: .relaxed)) / Self.seconds(since: start)
        }.max() ?? 0
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        let components = (ContinuousClock.now - start).components
        return Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }

    private static func timed(
        _ kernels: Kernels, _ precision: Precision, stepCount: Int
    ) -> (operations: Int, seconds: Double) {
        let start = ContinuousClock.now
        let operations = kernels.spin(precision, stepCount: stepCount)
        return (operations, seconds(since: start))
    }
}

extension EncoderModel {
    /// Operations of the dense layers and of attention over sequences of these lengths, a multiplication and an addition
    /// being two: 2 · layers · (4 H² + 2 H F) a token, and 4 · layers · H · length of attention.
    package func operationCount(lengths: [Int]) -> Double {
        let (hidden, inner) = (Double(hiddenSize), Double(intermediateSize))
        return lengths.reduce(0.0) { sum, length in
            let tokens = Double(length)
            let dense = 2 * Double(layerCount) * (4 * hidden * hidden + 2 * hidden * inner) * tokens
            return sum + dense + 4 * Double(layerCount) * hidden * tokens * tokens
        }
    }
}
