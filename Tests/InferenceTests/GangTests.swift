import Embeddings
import Foundation
import Inference
import Synchronization
import Testing

/// Threads that come, help and are called back at any moment change no bit and lose no part.
@Suite(.onOwnThread, .serialized)
struct GangTests {
    @Test(arguments: [4, 10], Precision.allCases)
    func helpersChangeNoBit(index: Int, precision: Precision) throws {
        let model = try EncoderModel.calibrated(
            directory: TinyBert.all[index].directory, precision: precision, instructionSet: InstructionSet.chosen())
        for memberLimit in 1...4 {
            let helped = try Hammer(model, memberLimit: memberLimit, leaders: 1, helpers: memberLimit - 1).run(
                batches: 30, seed: UInt64(index))
            #expect((helped > 0) == (memberLimit > 1))
        }
    }

    @Test(arguments: Precision.allCases)
    func helpersThatGoFromGangToGangChangeNoBit(precision: Precision) throws {
        let model = try EncoderModel.calibrated(
            directory: TinyBert.all[3].directory, precision: precision, instructionSet: InstructionSet.chosen())
        #expect(try Hammer(model, memberLimit: 4, leaders: 2, helpers: 3).run(batches: 120, seed: 5) > 0)
    }

    /// The same on real sizes, where the model is at hand: steps have many parts.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), arguments: Precision.allCases)
    func helpersChangeNoBitOfARealModel(precision: Precision) throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        let model = try EncoderModel.calibrated(
            directory: directory, precision: precision, instructionSet: InstructionSet.chosen())
        for memberLimit in 2...3 {
            let helped = try Hammer(model, memberLimit: memberLimit, leaders: 1, helpers: memberLimit - 1).run(
                batches: 10, seed: 9)
            #expect(helped > 0)
        }
    }

    @Test func aHelperThatIsCalledBackLeavesAtOnce() throws {
        let model = try EncoderModel(directory: TinyBert.all[1].directory)
        let recall = Recall()
        recall.set()
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64)
        #expect(Gang(memberLimit: 2).help(workspace: workspace, recall: recall) == 0)
    }

    @Test func aHelperLeavesAGangWhereNothingHappens() throws {
        let model = try EncoderModel(directory: TinyBert.all[1].directory)
        let workspace = model.makeWorkspace(maximumTokenCount: 64, maximumSequenceLength: 64)
        let gang = Gang(memberLimit: 2)
        #expect(gang.help(workspace: workspace, recall: Recall()) == 0)
        let batch = PaddedBatch([TokenSequence(ids: [1, 2, 3])])
        _ = model.encode(batch, layout: .packed, workspace: workspace, gang: gang)
        #expect(gang.help(workspace: workspace, recall: Recall()) == 0)
    }
}

/// Leaders that encode random batches, each in its own gang, helpers that go from one to another, and one thread that calls
/// the helpers back at any moment.
private final class Hammer: Sendable {
    private struct Case: Sendable {
        let batch: PaddedBatch
        let layout: BatchLayout
        let vectors: [EmbeddingVector]
    }

    private let model: EncoderModel
    private let gangs: [Gang]
    private let recalls: [Recall]
    private let leadersAtWork: Atomic<Int>
    private let helped = Atomic(0)
    private let differences = Atomic(0)

    init(_ model: EncoderModel, memberLimit: Int, leaders: Int, helpers: Int) {
        self.model = model
        gangs = (0..<leaders).map { _ in Gang(memberLimit: memberLimit, partTime: .nanoseconds(1)) }
        recalls = (0..<helpers).map { _ in Recall() }
        leadersAtWork = Atomic(leaders)
    }

    /// Passes that helpers came in time for.
    func run(batches: Int, seed: UInt64) throws -> Int {
        var random = SeededRandom(state: seed)
        let cases = makeCases(count: min(batches, 50), using: &random)
        let threads = gangs.count + recalls.count + 1
        let seeds = (0..<threads).map { _ in random.next() }
        let group = DispatchGroup()
        for thread in 0..<threads {
            group.enter()
            Thread.detachNewThread { [self] in
                var random = SeededRandom(state: seeds[thread])
                if thread < gangs.count {
                    lead(gangs[thread], cases, count: batches, using: &random)
                } else if thread < gangs.count + recalls.count {
                    help(recalls[thread - gangs.count], using: &random)
                } else {
                    callBack(using: &random)
                }
                group.leave()
            }
        }
        group.wait()
        #expect(differences.load(ordering: .relaxed) == 0)
        return helped.load(ordering: .relaxed)
    }

    private func makeCases(count: Int, using random: inout SeededRandom) -> [Case] {
        let workspace = model.makeWorkspace(maximumTokenCount: 256, maximumSequenceLength: 64)
        let longest = min(48, model.maximumPositionEmbeddings)
        return (0..<count).map { _ in
            let batch = PaddedBatch(
                (0..<Int.random(in: 1...12, using: &random)).map { _ in
                    TokenSequence(
                        ids: (0..<Int.random(in: 1...longest, using: &random)).map { _ in
                            Int32.random(in: 0..<Int32(model.vocabularySize), using: &random)
                        })
                })
            let layout = Bool.random(using: &random) ? BatchLayout.padded : .packed
            return Case(
                batch: batch, layout: layout, vectors: model.encode(batch, layout: layout, workspace: workspace))
        }
    }

    private var isHelpMissing: Bool { !recalls.isEmpty && helped.load(ordering: .relaxed) == 0 }

    private func lead(_ gang: Gang, _ cases: [Case], count: Int, using random: inout SeededRandom) {
        var workspace = model.makeWorkspace(maximumTokenCount: 1, maximumSequenceLength: 1)
        var done = 0
        // A busy machine may keep the helpers away for long.
        while done < count || isHelpMissing && done < 500 * count {
            done += 1
            // One that must grow under the eyes of helpers of the pass before.
            if Int.random(in: 0..<8, using: &random) == 0 {
                workspace = model.makeWorkspace(maximumTokenCount: 1, maximumSequenceLength: 1)
            }
            let one = cases[Int.random(in: cases.indices, using: &random)]
            let isAlone = Int.random(in: 0..<8, using: &random) == 0
            let vectors = model.encode(
                one.batch, layout: one.layout, workspace: workspace, gang: isAlone ? nil : gang)
            if vectors != one.vectors { differences.wrappingAdd(1, ordering: .relaxed) }
        }
        leadersAtWork.wrappingSubtract(1, ordering: .relaxed)
    }

    private func help(_ recall: Recall, using random: inout SeededRandom) {
        let workspace = model.makeWorkspace(maximumTokenCount: 1, maximumSequenceLength: 1)
        while leadersAtWork.load(ordering: .relaxed) > 0 {
            let count = gangs[Int.random(in: gangs.indices, using: &random)].help(
                workspace: workspace, recall: recall)
            helped.wrappingAdd(count, ordering: .relaxed)
            spin(upTo: 3_000, using: &random)
        }
    }

    private func callBack(using random: inout SeededRandom) {
        while leadersAtWork.load(ordering: .relaxed) > 0 {
            spin(upTo: 30_000, using: &random)
            recalls.randomElement(using: &random)?.set()
            spin(upTo: 3_000, using: &random)
            for recall in recalls { recall.clear() }
            sched_yield()
        }
    }

    /// Some time, as the numbers have it: between nothing and some ten microseconds.
    private func spin(upTo limit: UInt64, using random: inout SeededRandom) {
        for _ in 0..<UInt64.random(in: 0..<limit, using: &random) / 10 { _ = random.next() }
    }
}
