import App
import Batching
import Foundation
import JSON
import Testing

struct MemoryFitTests {
    private func allowance(_ mebibytes: Int) -> MemoryAllowance {
        MemoryAllowance(byteCount: mebibytes << 20, source: .option)
    }

    private func refusal(
        _ knobs: MemoryKnobs, given: Set<MemorySetting>, _ allowance: MemoryAllowance
    ) throws -> String {
        let failure = #expect(throws: CommandFailure.self) {
            try MemoryFit(knobs, given: given, allowance: allowance)
        }
        #expect(failure?.exitCode == 64)
        return try #require(failure).message
    }

    @Test func whatFitsIsLeftAlone() throws {
        let fit = try MemoryFit(.sample, given: [], allowance: allowance(4_096))
        #expect(fit.lowered.isEmpty && fit.knobs.server?.bufferedBodyBytes == 256 << 20)
    }

    /// Bodies first, since only a crowd of clients misses their budget.
    @Test(arguments: [300, 350, 420, 500])
    func defaultsAreLoweredUntilTheyFit(mebibytes: Int) throws {
        let fit = try MemoryFit(.sample, given: [], allowance: allowance(mebibytes))
        #expect(fit.plan.peakByteCount <= mebibytes << 20)
        #expect(fit.lowered.first == .bufferedBodyBytes)
        for setting in fit.lowered {
            let (before, after) = (MemoryKnobs.sample.value(of: setting), fit.knobs.value(of: setting))
            #expect(try #require(after) < #require(before) && #require(after) > 0)
        }
        let server = try #require(fit.knobs.server)
        #expect(server.bufferedBodyBytes >= server.bodyBytes, "a body that is allowed can be taken")
        #expect(fit.knobs.queuedTexts >= server.inputs, "a request that is allowed can be taken")
    }

    /// 2,048 inputs of 64 tokens, while as many of another client's are under way: only bodies, queues and the crowd are
    /// smaller.
    @Test(arguments: [260, 280, 300, 350]) func requestsAsLargeAsOpenAIsStayPossible(mebibytes: Int) throws {
        let fit = try MemoryFit(.sample, given: [], allowance: allowance(mebibytes))
        let server = try #require(fit.knobs.server)
        #expect(server.inputs == 2_048 && server.bodyBytes >= 1 << 20)
        #expect(fit.knobs.queuedTexts >= 2 * server.inputs && fit.knobs.queuedTokens >= 64 * server.inputs)
    }

    @Test func bodiesAreLoweredBeforeQueues() throws {
        let fit = try MemoryFit(.sample, given: [], allowance: allowance(400))
        #expect(fit.lowered == [.bufferedBodyBytes, .bodyBytes])
        #expect(fit.knobs.queuedTexts == 8_192 && fit.knobs.queuedTokens == 524_288)
    }

    @Test func oneGreatRequestNeedsNoRoomForTwo() {
        var knobs = MemoryKnobs.sample
        knobs.server?.inputs = 16_384
        #expect(knobs.floor(of: .queuedTexts) == 16_384 && knobs.floor(of: .queuedTokens) == 262_144)
        knobs.server?.inputs = 100
        #expect(knobs.floor(of: .queuedTexts) == 200 && knobs.floor(of: .queuedTokens) == 16_384)
    }

    @Test func whatWasGivenIsNeverChanged() throws {
        let given: Set<MemorySetting> = [.bufferedBodyBytes, .connections]
        var knobs = MemoryKnobs.sample
        knobs.server?.bufferedBodyBytes = 100 << 20
        let fit = try MemoryFit(knobs, given: given, allowance: allowance(460))
        #expect(given.isDisjoint(with: fit.lowered) && !fit.lowered.isEmpty)
        #expect(fit.knobs.server?.bufferedBodyBytes == 100 << 20 && fit.knobs.server?.connections == 1_024)
    }

    @Test func aRefusalNamesTheNeedTheLimitAndWhatToLowerToWhat() throws {
        var knobs = MemoryKnobs.sample
        knobs.server?.bufferedBodyBytes = 2 << 30
        let message = try refusal(knobs, given: [.bufferedBodyBytes], allowance(700))
        #expect(message.contains("the limit is 700 MiB (--memory-limit)"), "\(message)")
        let start = try #require(message.range(of: "lower --max-buffered-body-bytes from 2147483648 to "))
        let number = try #require(Int(message[start.upperBound...].prefix { $0.isNumber }))
        // What it says works, and not much more would.
        knobs.server?.bufferedBodyBytes = number
        #expect(try MemoryFit(knobs, given: [.bufferedBodyBytes], allowance: allowance(700)).lowered.isEmpty)
        knobs.server?.bufferedBodyBytes = number + number / 10
        _ = try refusal(knobs, given: Set(MemorySetting.allCases), allowance(700))
    }

    @Test func aRefusalNamesTheQueueWhereThatIsIt() throws {
        var knobs = MemoryKnobs.sample
        knobs.queuedTokens = 1 << 30
        let message = try refusal(knobs, given: [.queuedTokens], allowance(1_000))
        #expect(message.contains("lower --max-queued-tokens from 1073741824 to "), "\(message)")
    }

    @Test func whereNoSettingAloneIsEnoughTheLimitItselfIsNamed() throws {
        var knobs = MemoryKnobs.sample
        knobs.server?.bufferedBodyBytes = 1 << 30
        knobs.queuedTokens = 1 << 28
        let message = try refusal(knobs, given: [.bufferedBodyBytes, .queuedTokens], allowance(400))
        #expect(message.contains("raise the limit to") && message.contains("lower several"), "\(message)")
    }

    @Test func aModelThatCannotFitIsSaidToBeTooLarge() throws {
        let message = try refusal(.sample, given: [], allowance(64))
        #expect(message.contains("the limit is 64 MiB") && message.contains("raise the limit to"), "\(message)")
    }

    @Test func theSourceOfTheLimitIsNamed() throws {
        let group = MemoryAllowance(byteCount: 64 << 20, source: .controlGroup)
        #expect(try refusal(.sample, given: [], group).contains("(of the control group)"))
        let machine = MemoryAllowance(byteCount: 64 << 20, source: .physicalMemory)
        #expect(try refusal(.sample, given: [], machine).contains("(all that the machine has)"))
    }

    @Test func theLargestValueFitsAndTheNextDoesNot() throws {
        let limit = 900 << 20
        let largest = try #require(MemoryFit.largest(.queuedTokens, of: .sample, within: limit, to: 1 << 40))
        var knobs = MemoryKnobs.sample
        knobs.queuedTokens = largest
        #expect(MemoryPlan(knobs).peakByteCount <= limit)
        knobs.queuedTokens = largest + largest / 16
        #expect(MemoryPlan(knobs).peakByteCount > limit)
        #expect(MemoryFit.largest(.queuedTokens, of: .sample, within: 64 << 20, to: 1 << 40) == nil)
    }

    @Test func infoTellsTheLimitAndTheSettingsInForce() throws {
        let fit = try MemoryFit(.sample, given: [], allowance: allowance(420))
        let json = fit.json(residentByteCount: 7)
        #expect(json["limit_bytes"] == 440_401_920 && json["limit_source"] == "option" && json["resident_bytes"] == 7)
        #expect(json["max_buffered_body_bytes"]?.number?.integer == fit.knobs.server?.bufferedBodyBytes)
        #expect(json["lowered"]?.array?.first == "--max-buffered-body-bytes")
    }
}
