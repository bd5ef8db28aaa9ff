import AllocationCounter
import Embeddings
import Foundation
import Inference
import Synchronization
import Testing

/// A warm pass allocates nothing: counted by functions that stand in malloc's place.
@Suite(.enabled(if: allocation_counter_works() != 0), .onOwnThread)
struct WarmPassTests {
    @Test func theCounterCounts() {
        #expect(allocations { release(malloc(100)) } == 1)
        #expect(allocations { release(calloc(10, 10)) } == 1)
        #expect(allocations { release(realloc(nil, 100)) } == 1)
        #expect(allocations { release(aligned_alloc(64, 128)) } == 1)
        #expect(
            allocations {
                var memory: UnsafeMutableRawPointer?
                _ = posix_memalign(&memory, 64, 100)
                free(memory)
            } == 1)
        #expect(allocations { blackHole([Int](repeating: 1, count: 100)) } == 1)
        #expect(allocations {} == 0)
    }

    @Test(arguments: [0, 2, 3, 9], Precision.allCases)
    func aWarmPassAllocatesNothing(index: Int, precision: Precision) throws {
        for instructionSet in InstructionSet.available where precision == .fp32 || instructionSet != .openblas {
            try expectNoAllocation(
                EncoderModel.calibrated(
                    directory: TinyBert.all[index].directory, precision: precision, instructionSet: instructionSet))
        }
    }

    /// Neither for who leads a gang, nor for who helps in it.
    @Test(arguments: Precision.allCases)
    func aWarmGangAllocatesNothing(precision: Precision) throws {
        let model = try EncoderModel.calibrated(
            directory: TinyBert.all[4].directory, precision: precision, instructionSet: .best)
        let batch = PaddedBatch((1...12).map { TokenSequence(ids: (0..<Int32(2 * $0)).map { $0 }) })
        let workspaces = (0..<2).map { _ in
            model.makeWorkspace(maximumTokenCount: 1_024, maximumSequenceLength: batch.width)
        }
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: batch.count * model.dimensions)
        defer { values.deallocate() }
        nonisolated(unsafe) let vectors = values
        nonisolated(unsafe) let members = workspaces
        // One for all batches, as a compute thread has it.
        let gang = Gang(memberLimit: 2)
        let counts = Mutex<[Int64]>([])
        let helped = Atomic(0)
        // Until a helper came in time, which is up to a busy machine.
        for round in 0..<2_000 where round < 20 || helped.load(ordering: .relaxed) == 0 {
            let recall = Recall()
            DispatchQueue.concurrentPerform(iterations: 2) { member in
                let count = allocations {
                    if member == 0 {
                        model.encode(batch, layout: .packed, workspace: members[0], gang: gang, into: vectors)
                    } else {
                        helped.wrappingAdd(gang.help(workspace: members[1], recall: recall), ordering: .relaxed)
                    }
                }
                counts.withLock { $0.append(count) }
            }
        }
        #expect(helped.load(ordering: .relaxed) > 0)
        // The first time the gang makes what it keeps.
        #expect(counts.withLock { $0.dropFirst(4).allSatisfy { $0 == 0 } }, "\(counts.withLock { $0 })")
    }

    /// The same on real sizes, where the model is at hand.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"] != nil), arguments: Precision.allCases)
    func aWarmPassOfARealModelAllocatesNothing(precision: Precision) throws {
        let directory = try #require(ProcessInfo.processInfo.environment["OVENBIRD_TEST_MODEL"])
        try expectNoAllocation(
            EncoderModel.calibrated(directory: directory, precision: precision, instructionSet: .best))
    }

    private func expectNoAllocation(_ model: EncoderModel) throws {
        let longest = min(40, model.maximumPositionEmbeddings)
        // Of more rows than one pass takes, of one, and of one token.
        let shapes = [(1...20).map { $0 * 7 % longest + 1 }, [longest], [3, 1, longest], [1]]
        let batches = shapes.map { lengths in PaddedBatch(lengths.map { TokenSequence(ids: (0..<$0).map(Int32.init)) })
        }
        let workspace = model.makeWorkspace(maximumTokenCount: 1_024, maximumSequenceLength: longest)
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 20 * model.dimensions)
        defer { values.deallocate() }
        for layout in BatchLayout.allCases {
            for _ in 0..<2 { model.encode(batches[0], layout: layout, workspace: workspace, into: values) }
            for (batch, lengths) in zip(batches, shapes) {
                let count = allocations { model.encode(batch, layout: layout, workspace: workspace, into: values) }
                #expect(count == 0, "\(model.instructionSet), \(layout), \(lengths.count) texts")
            }
            #expect(allocations { blackHole(model.encode(batches[0], layout: layout, workspace: workspace)) } > 20)
        }
    }

    private func allocations(_ body: () -> Void) -> Int64 {
        let before = allocation_count()
        body()
        return allocation_count() - before
    }

    @inline(never)
    private func release(_ memory: UnsafeMutableRawPointer?) {
        free(memory)
    }

    /// What is given here is made, whatever the optimiser thinks of its use.
    @inline(never)
    private func blackHole<Value>(_ value: Value) {
        withExtendedLifetime(value) {}
    }
}
