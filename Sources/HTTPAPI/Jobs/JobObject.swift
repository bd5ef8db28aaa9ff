import Embeddings
import JSON

/// A job as clients see it.
struct JobObject {
    let job: Job
    let retention: Duration

    var json: JSONObject {
        var object = JSONObject()
        object["id"] = .string(job.id.description)
        object["object"] = "job"
        object["state"] = .string(job.state.rawValue)
        object["source"] = .string(job.source.rawValue)
        object["collection"] = job.collection.map { .string($0.description) } ?? .null
        object["model"] = .string(job.modelName)
        object["dimensions"] = .number(JSONNumber(job.dimensions))
        object["priority"] = .number(JSONNumber(job.priority))
        object["counts"] = [
            "total": .number(JSONNumber(job.counts.total)), "succeeded": .number(JSONNumber(job.counts.succeeded)),
            "failed": .number(JSONNumber(job.counts.failed)),
            "deduplicated": .number(JSONNumber(job.counts.deduplicated)),
        ]
        object["tokens"] = .number(JSONNumber(job.tokenCount))
        object["texts_per_second"] = job.inputsPerSecond.map { .number(JSONNumber(($0 * 10).rounded() / 10)) } ?? .null
        object["eta_seconds"] = remainingSeconds.map { .number(JSONNumber($0)) } ?? .null
        object["created_at"] = Self.time(job.createdAt)
        object["started_at"] = Self.time(job.startedAt)
        object["ended_at"] = Self.time(job.endedAt)
        object["expires_at"] = expiry.map { .number(JSONNumber(Int($0))) } ?? .null
        object["failure"] = job.failure.map { ["code": .string($0.code), "message": .string($0.message)] } ?? .null
        return object
    }

    func json(failures: [JobFailure]) -> JSONObject {
        var object = json
        object["errors"] = .array(failures.map(\.json))
        return object
    }

    /// As it was when it was accepted. Every repetition of a submission is answered so, to the byte, whatever has become
    /// of the job since: of its counts only what the submission itself decides.
    var jsonAsSubmitted: JSONObject {
        let submitted = Job(
            id: job.id, state: .queued, source: job.source, owner: job.owner, collection: job.collection,
            modelName: job.modelName, dimensions: job.dimensions, priority: job.priority,
            counts: JobCounts(total: job.counts.total), tokenCount: 0, createdAt: job.createdAt)
        return JobObject(job: submitted, retention: retention).json
    }

    /// Nil while nothing is known to move.
    private var remainingSeconds: Int? {
        guard case .running = job.state, let rate = job.inputsPerSecond, rate > 0 else { return nil }
        let remaining = Double(job.counts.total - job.counts.succeeded - job.counts.failed) / rate
        return Int(exactly: max(0, remaining).rounded(.up))
    }

    private var expiry: Int64? {
        if let dropped = job.dataDroppedAt { return dropped.secondsSinceUnixEpoch }
        return job.endedAt.map { $0.secondsSinceUnixEpoch + retention.components.seconds }
    }

    private static func time(_ timestamp: Timestamp?) -> JSONValue {
        timestamp.map { .number(JSONNumber(Int($0.secondsSinceUnixEpoch))) } ?? .null
    }
}

extension JobFailure {
    var json: JSONValue {
        [
            "index": .number(JSONNumber(index)), "id": .string(id), "code": .string(error.code),
            "message": .string(error.message),
        ]
    }
}
