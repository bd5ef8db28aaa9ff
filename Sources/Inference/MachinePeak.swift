package import Embeddings
import Foundation
import Synchronization

/// What the processor can do at best, to measure the encoder by.
package enum MachinePeak {
    /// Operations a second of so many threads together, a multiplication and an addition being two: bare loops of the
    /// instruction that the dense layers multiply and add with, on the kernels that the environment chooses.
    ///
    /// - Parameter seconds: how long to measure; the best of ten pieces of it counts.
    package static func measure(precision: Precision, threads: Int, seconds: Double) -> Double {
        guard let chosen = try? InstructionSet.chosen(), let kernels = Kernels(chosen) else { return 0 }
        let rates = Mutex<[Double]>([])
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            // A piece's steps, from a first one of a few microseconds.
            let (operations, time) = timed(kernels, precision, stepCount: 10_000)
            let stepCount = max(10_000, Int(10_000 * seconds / 10 / max(time, 1e-6)))
            var best = Double(operations) / time
            for _ in 0..<10 {
                let (operations, time) = timed(kernels, precision, stepCount: stepCount)
                best = max(best, Double(operations) / time)
            }
            rates.withLock { $0.append(best) }
        }
        return rates.withLock { $0.reduce(0, +) }
    }

    private static func timed(
        _ kernels: Kernels, _ precision: Precision, stepCount: Int
    ) -> (operations: Int, seconds: Double) {
        let start = ContinuousClock.now
        let operations = kernels.spin(precision, stepCount: stepCount)
        let components = (ContinuousClock.now - start).components
        return (operations, Double(components.seconds) + Double(components.attoseconds) * 1e-18)
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
