import Embeddings
import Foundation
import Inference
import Synchronization
import Testing

/// What one text of 8 tokens takes the encoder, alone and with a helper that spins. Wants a machine that does nothing
/// else:
///
///     OVENBIRD_BENCH=1 OVENBIRD_TEST_MODEL=DIR swift test -c release --filter LoneQueryBench
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["OVENBIRD_BENCH"] == "1"
            && ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), .serialized)
struct LoneQueryBench {
    @Test(.timeLimit(.minutes(5)))
    func aTextOfEightTokens() throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        for precision in Precision.allCases {
            let model = try EncoderModel.calibrated(
                directory: directory, precision: precision, instructionSet: InstructionSet.chosen())
            for length in [8, 64] {
                let batch = PaddedBatch([TokenSequence(ids: (0..<Int32(length)).map { 1_000 + 37 * $0 })])
                let gang = Gang(memberLimit: 2)
                let workspace = model.makeWorkspace(maximumTokenCount: 256, maximumSequenceLength: 256)
                let helper = Helper(model, gang)
                helper.start()
                // A, B, A, B: so that what else the machine does meets both.
                var alone: [Double] = []
                var together: [Double] = []
                for round in 0..<(length == 8 ? 2_000 : 200) {
                    let start = ContinuousClock.now
                    _ = model.encode(batch, layout: .packed, workspace: workspace, gang: round % 2 == 0 ? nil : gang)
                    let time = start.duration(to: .now) / .microseconds(1)
                    if round % 2 == 0 { alone.append(time) } else { together.append(time) }
                }
                let helped = helper.stop()
                print(
                    "\(precision), \(length) tokens, µs: alone \(Self.summary(alone)), gang of two",
                    "\(Self.summary(together)), helped \(helped) of \(together.count)")
            }
        }
    }

    static func summary(_ times: [Double]) -> String {
        let sorted = times.sorted()
        return [("min", 0), ("p10", 0.1), ("p50", 0.5), ("p99", 0.99)].map {
            "\($0) \(Int(sorted[Int($1 * Double(sorted.count))]))"
        }.joined(separator: " ")
    }
}

/// A thread that does nothing but help.
private final class Helper: Sendable {
    private let model: EncoderModel
    private let gang: Gang
    private let isOver = Atomic(false)
    private let helped = Atomic(0)
    private let ended = DispatchSemaphore(value: 0)

    init(_ model: EncoderModel, _ gang: Gang) {
        self.model = model
        self.gang = gang
    }

    func start() {
        Thread.detachNewThread { [self] in
            let workspace = model.makeWorkspace(maximumTokenCount: 256, maximumSequenceLength: 256)
            let recall = Recall()
            while !isOver.load(ordering: .relaxed) {
                helped.wrappingAdd(gang.help(workspace: workspace, recall: recall), ordering: .relaxed)
            }
            ended.signal()
        }
    }

    func stop() -> Int {
        isOver.store(true, ordering: .relaxed)
        ended.wait()
        return helped.load(ordering: .relaxed)
    }
}
