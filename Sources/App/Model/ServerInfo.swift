import Batching
import Embeddings
import Inference
import JSON

/// What `/info` answers: the settings as they are in force, after defaults and the machine had their say.
struct ServerInfo: Sendable {
    let engine: Engine
    /// `none`, `memory` or `postgresql`.
    let storage: String
    let memory: MemoryFit

    var json: JSONValue {
        let (model, encoder, batching) = (engine.description, engine.encoder, engine.configuration)
        let allowance = engine.allowance
        let processors: JSONValue = [
            "affinity": .number(JSONNumber(allowance.affinityCoreCount)),
            "cgroup_quota": allowance.quotaCoreCount.map { .number(JSONNumber($0)) } ?? .null,
            "compute_threads": .number(JSONNumber(engine.threadCount)),
        ]
        var batch = JSONObject([
            "layout": .string(engine.layout.rawValue),
            "max_batch_tokens": .number(JSONNumber(batching.maximumBatchTokens)),
            "max_num_seqs": .number(JSONNumber(batching.maximumBatchSequences)),
            "max_queued_tokens": .number(JSONNumber(batching.queueBudget(sequenceLimit: model.maximumSequenceLength))),
        ])
        batch["max_queue_wait_ms"] =
            batching.maximumQueueWait.map { .number(JSONNumber(Double(milliseconds: $0))) } ?? .null
        switch batching.mode {
        case .continuous: batch["mode"] = "continuous"
        case .firstComeFirstServed(let size, let wait):
            batch["mode"] = "static"
            batch["batch_size"] = .number(JSONNumber(size))
            batch["batch_wait_ms"] = .number(JSONNumber(Double(milliseconds: wait)))
        }
        return [
            "version": .string(OvenbirdCommand.version),
            "model": [
                "name": .string(model.name),
                "served_names": .array(model.servedNames.map { .string($0) }),
                "fingerprint": .string(model.fingerprint.description),
                "dimensions": .number(JSONNumber(model.dimensions)),
                "max_sequence_length": .number(JSONNumber(model.maximumSequenceLength)),
                "vocabulary_size": .number(JSONNumber(model.vocabularySize)),
                "layers": .number(JSONNumber(encoder.layerCount)),
                "hidden_size": .number(JSONNumber(encoder.hiddenSize)),
                "parameters": .number(JSONNumber(encoder.parameterCount)),
                "pooling": .string(encoder.pooling.rawValue),
                "normalizes": .bool(encoder.normalizes),
            ],
            "precision": .string(model.precision.rawValue),
            "kernels": [
                "instruction_set": .string(encoder.instructionSet.rawValue),
                "dense_layers": .string(encoder.instructionSet.denseLibrary),
            ],
            "processors": processors,
            "batching": .object(batch),
            "storage": .string(storage),
            "memory": .object(memory.json(residentByteCount: ResidentMemory.currentByteCount())),
        ]
    }
}
