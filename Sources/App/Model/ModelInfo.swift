package import Embeddings
import Inference
package import JSON
import Tokenization

/// What `ovenbird model info` tells.
package struct ModelInfo: Sendable {
    /// Facts in the order in which they are told.
    package var facts: [(name: String, value: JSONValue)]
    /// Fixed texts before a text, by what the text is for; without empty ones.
    package var prompts: [(name: String, text: String)]
    package var fingerprint: String
    /// Memory of the weights in each precision that this processor can run.
    package var weightByteCounts: [(precision: Precision, byteCount: Int)]

    package init(
        facts: [(name: String, value: JSONValue)], prompts: [(name: String, text: String)], fingerprint: String,
        weightByteCounts: [(precision: Precision, byteCount: Int)]
    ) {
        self.facts = facts
        self.prompts = prompts
        self.fingerprint = fingerprint
        self.weightByteCounts = weightByteCounts
    }

    init(_ contents: ModelFolder.Contents) {
        let (encoder, tokenizer, description) = (contents.encoder, contents.tokenizer, contents.description)
        func number(_ value: Int) -> JSONValue { .number(JSONNumber(value)) }
        facts = [
            ("name", .string(description.name)),
            ("architecture", .string(encoder.facts.first { $0.name == "architecture" }?.value ?? "unknown")),
            ("parameters", number(encoder.parameterCount)),
            ("dimensions", number(encoder.dimensions)),
            ("hidden_size", number(encoder.hiddenSize)),
            ("intermediate_size", number(encoder.intermediateSize)),
            ("layers", number(encoder.layerCount)),
            ("heads", number(encoder.headCount)),
            ("activation", .string("\(encoder.activation)")),
            ("pooling", .string(encoder.pooling.rawValue)),
            ("pools_prompt", .bool(encoder.includesPrompt)),
            ("normalizes", .bool(encoder.normalizes)),
            ("max_sequence_length", number(description.maximumSequenceLength)),
            ("max_position_embeddings", number(encoder.maximumPositionEmbeddings)),
            ("vocabulary_size", number(encoder.vocabularySize)),
            ("tokenizer_vocabulary_size", number(tokenizer.vocabularySize)),
            ("padding_id", number(Int(tokenizer.paddingID))),
            ("instruction_set", .string(encoder.instructionSet.rawValue)),
        ]
        let prefix = "prompt_"
        prompts = tokenizer.facts.filter { $0.name.hasPrefix(prefix) && !$0.value.isEmpty }.map {
            (name: String($0.name.dropFirst(prefix.count)), text: $0.value)
        }
        fingerprint = description.fingerprint.description
        weightByteCounts = []
    }

    package var json: JSONObject {
        var object = JSONObject()
        for fact in facts { object[fact.name] = fact.value }
        var texts = JSONObject()
        for prompt in prompts { texts[prompt.name] = .string(prompt.text) }
        object["prompts"] = .object(texts)
        object["fingerprint"] = .string(fingerprint)
        object["precisions"] = .array(weightByteCounts.map { .string($0.precision.rawValue) })
        var weights = JSONObject()
        for weight in weightByteCounts { weights[weight.precision.rawValue] = .number(JSONNumber(weight.byteCount)) }
        object["weight_bytes"] = .object(weights)
        return object
    }

    /// For people: a fact a line.
    package var text: String {
        var lines = facts.map { fact in
            (fact.name.split(separator: "_").joined(separator: " "), fact.value.string ?? fact.value.serialized)
        }
        // Quoted, since a prompt ends in a space that would not be seen.
        lines += prompts.map { ("prompt for \($0.name)", JSONValue.string($0.text).serialized) }
        lines.append(("fingerprint", fingerprint))
        lines += weightByteCounts.map { weight in
            ("weights in \(weight.precision.rawValue)", "\((weight.byteCount + 524_288) / 1_048_576) MiB")
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { name, value in
            name + String(repeating: " ", count: width - name.count + 2) + value
        }.joined(separator: "\n")
    }
}
