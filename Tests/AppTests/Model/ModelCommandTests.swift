import App
import ArgumentParser
import Embeddings
import JSON
import Testing

struct ModelCommandTests {
    private static func complaint(_ arguments: [String]) -> String? {
        do {
            _ = try OvenbirdCommand.parseAsRoot(arguments)
            return nil
        } catch {
            return OvenbirdCommand.message(for: error)
        }
    }

    @Test(arguments: [
        ["model", "info", "dir"], ["model", "info", "--json", "dir"], ["model", "verify", "dir"],
        ["model", "verify", "dir", "--precision", "int8", "--json"],
    ])
    func aFolderIsAllTheyNeed(arguments: [String]) {
        #expect(Self.complaint(arguments) == nil)
    }

    @Test func whatTheyDoNotKnowIsRefused() throws {
        #expect(try #require(Self.complaint(["model", "info"])).contains("<dir>"))
        #expect(try #require(Self.complaint(["model", "verify", "d", "--precision", "fp8"])).contains("--precision"))
    }

    @Test func aFolderThatIsNotThereFails() async throws {
        for name in ["info", "verify"] {
            var command = try OvenbirdCommand.parseAsRoot(["model", name, "/there/is/no/such/folder"])
            let failure = #expect(throws: CommandFailure.self) { try command.run() }
            #expect(failure?.exitCode == 1 && failure?.message.contains("/there/is/no/such/folder") == true)
        }
    }

    @Test func factsArePrintedInColumnsAndPromptsQuoted() {
        let info = ModelInfo(
            facts: [("layers", 6), ("max_sequence_length", 256), ("pooling", "mean"), ("normalizes", true)],
            prompts: [("query", "query: ")], fingerprint: "abc",
            weightByteCounts: [(.fp32, 90_268_224), (.int8, 1 << 20)])
        #expect(
            info.text == """
                layers               6
                max sequence length  256
                pooling              mean
                normalizes           true
                prompt for query     "query: "
                fingerprint          abc
                weights in fp32      86 MiB
                weights in int8      1 MiB
                """)
        #expect(
            JSONValue.object(info.json).serialized
                == #"{"layers":6,"max_sequence_length":256,"pooling":"mean","normalizes":true,"#
                + #""prompts":{"query":"query: "},"fingerprint":"abc","precisions":["fp32","int8"],"#
                + #""weight_bytes":{"fp32":90268224,"int8":1048576}}"#)
    }

    @Test func verificationTextsAreVaried() {
        let texts = VerificationTexts.all
        #expect(Set(CalibrationTexts.all).isDisjoint(with: texts), "what shaped a precision cannot verify it")
        #expect(texts.count >= 64 && Set(texts).count == texts.count)
        #expect(texts.contains("") && texts.contains { $0.utf8.count > 800 })
        #expect(texts.filter { $0.utf8.contains { $0 >= 0x80 } }.count >= 16)
        #expect(texts.contains { $0.unicodeScalars.contains { $0.properties.isEmojiPresentation } })
        #expect(texts.contains { $0.contains("SELECT") } && texts.contains { $0.contains("3.14159") })
    }
}
