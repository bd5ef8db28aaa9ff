import App
import JSON
import Testing

struct MemoryPlanTests {
    private func bytes(of name: String, _ knobs: MemoryKnobs, _ phase: MemoryPlan.Part.Phase) -> Int? {
        MemoryPlan(knobs).parts.first { $0.name == name && $0.phase == phase }?.byteCount
    }

    @Test func sumsAreThoseOfTheParts() {
        let plan = MemoryPlan(.sample)
        func sum(_ phase: MemoryPlan.Part.Phase) -> Int {
            plan.parts.filter { $0.phase == phase }.reduce(0) { $0 + $1.byteCount }
        }
        #expect(plan.idleByteCount == sum(.idle) && plan.startByteCount == sum(.start))
        #expect(plan.loadByteCount == sum(.idle) + sum(.load))
        #expect(plan.peakByteCount == max(plan.loadByteCount, plan.startByteCount))
        #expect(plan.parts.allSatisfy { $0.byteCount > 0 && !$0.formula.isEmpty })
    }

    @Test func partsFollowTheirFormulas() {
        let (knobs, costs) = (MemoryKnobs.sample, MemoryCosts())
        #expect(bytes(of: "activations", knobs, .idle) == 2 * (256 * 8_800 + 160_000))
        #expect(bytes(of: "queue", knobs, .load) == 524_288 * 4 + 8_192 * (costs.queuedText + 1_536))
        #expect(bytes(of: "request_bodies", knobs, .load) == 256 << 20)
        #expect(bytes(of: "parsing", knobs, .load) == (2_097_152 + 2 * 131_072) * costs.jsonValue)
        #expect(bytes(of: "answers", knobs, .load) == (8_192 + 2 * 2_048) * 384 * costs.answerValue)
        #expect(bytes(of: "connections", knobs, .load) == 1_024 * costs.connection)
        #expect(bytes(of: "database_connections", knobs, .idle) == 12 * costs.databaseConnection)
        #expect(bytes(of: "embedding_tables", knobs, .idle) == 46_881_792 + 786_432)
    }

    /// Every workspace of a thread counts.
    @Test func aSecondWorkspaceOfAThreadIsCounted() {
        var knobs = MemoryKnobs.sample
        knobs.workspaceTokens.append(64)
        let workspace = knobs.model.workspaceByteCount
        #expect(bytes(of: "activations", knobs, .idle) == 2 * (workspace(512) + workspace(64)))
    }

    /// What is searched for by halves must not fall.
    @Test func moreNeverTakesLess() {
        for setting in MemorySetting.allCases {
            var last = 0
            for value in [64, 65, 1_000, 70_000, 1_000_000] {
                var knobs = MemoryKnobs.sample
                knobs.set(setting, to: value)
                #expect(knobs.value(of: setting) == value)
                let peak = MemoryPlan(knobs).peakByteCount
                #expect(peak >= last, "\(setting.rawValue) at \(value)")
                last = peak
            }
        }
    }

    @Test func aWorkerHasNoClientsAndASegmentForEachOfItsOwn() {
        let names = MemoryPlan(.worker).parts.map(\.name)
        for name in ["request_bodies", "parsing", "answers", "connections", "queue"] { #expect(!names.contains(name)) }
        #expect(names.contains("job_segments"))
        for setting in [MemorySetting.bufferedBodyBytes, .queuedTexts, .queuedTokens, .connections, .inputs] {
            #expect(MemoryKnobs.worker.value(of: setting) == nil)
        }
    }

    /// Large weights in float32 decide where the load is small.
    @Test func thePeakMayBeTheStart() {
        var knobs = MemoryKnobs.worker
        knobs.model.exactLayerByteCount = 2 << 30
        let plan = MemoryPlan(knobs)
        #expect(plan.peakByteCount == plan.startByteCount && plan.startByteCount > plan.loadByteCount)
    }
}
