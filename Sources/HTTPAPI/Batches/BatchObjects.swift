import Embeddings
import JSON

extension StoredFile {
    /// OpenAI's file object.
    var json: JSONValue {
        var object = JSONObject()
        object["id"] = .string(id.description)
        object["object"] = "file"
        object["bytes"] = .number(JSONNumber(byteCount))
        object["created_at"] = createdAt.json
        object["expires_at"] = expiresAt.json
        object["filename"] = .string(name)
        object["purpose"] = .string(purpose.rawValue)
        // Whole as soon as it is seen.
        object["status"] = "processed"
        object["status_details"] = .null
        return .object(object)
    }
}

extension Batch {
    /// OpenAI's batch object.
    ///
    /// - Parameter job: while the batch is in progress, for its counts.
    func json(job: Job?) -> JSONValue {
        var object = JSONObject()
        object["id"] = .string(id.description)
        object["object"] = "batch"
        object["endpoint"] = .string(BatchLine.endpoint)
        object["model"] = modelName.json
        object["errors"] = status == .failed ? ["object": "list", "data": .array(errors.map(\.json))] : .null
        object["input_file_id"] = .string(inputFile.description)
        object["completion_window"] = "24h"
        object["status"] = .string(status.rawValue)
        object["output_file_id"] = (outputFile?.description).json
        object["error_file_id"] = (errorFile?.description).json
        for (name, moment) in [
            ("created_at", moments.created), ("in_progress_at", moments.inProgress), ("expires_at", moments.expires),
            ("finalizing_at", moments.finalizing), ("completed_at", moments.completed), ("failed_at", moments.failed),
            ("expired_at", moments.expired), ("cancelling_at", moments.cancelling),
            ("cancelled_at", moments.cancelled),
        ] {
            object[name] = moment.json
        }
        let counts = status.hasEnded ? counts : counts(of: job)
        object["request_counts"] = [
            "total": .number(JSONNumber(counts.total)), "completed": .number(JSONNumber(counts.completed)),
            "failed": .number(JSONNumber(counts.failed)),
        ]
        object["usage"] = .null
        if let tokenCount {
            let tokens = JSONValue.number(JSONNumber(tokenCount))
            object["usage"] = [
                "input_tokens": tokens, "input_tokens_details": ["cached_tokens": 0], "output_tokens": 0,
                "output_tokens_details": ["reasoning_tokens": 0], "total_tokens": tokens,
            ]
        }
        object["metadata"] = metadata.map { .object($0) } ?? .null
        return .object(object)
    }

    /// Of requests, from the job's of texts: exact where each request has one, else in proportion, until the end.
    func counts(of job: Job?) -> BatchCounts {
        guard let job, inputCount > 0 else { return counts }
        let embedded = counts.total - counts.failed
        return BatchCounts(
            total: counts.total, completed: job.counts.succeeded * embedded / inputCount,
            failed: counts.failed + job.counts.failed * embedded / inputCount)
    }
}

extension BatchError {
    fileprivate var json: JSONValue {
        [
            "code": .string(code), "line": line.map { .number(JSONNumber($0)) } ?? .null, "message": .string(message),
            "param": parameter.json,
        ]
    }
}

extension Timestamp {
    fileprivate var json: JSONValue { .number(JSONNumber(Int(secondsSinceUnixEpoch))) }
}

extension Timestamp? {
    fileprivate var json: JSONValue { map(\.json) ?? .null }
}

extension String? {
    fileprivate var json: JSONValue { map { .string($0) } ?? .null }
}

/// `{"object":"list","data":[…],"first_id","last_id","has_more"}`.
func listObject(_ data: [JSONValue], ids: [String], hasMore: Bool) -> JSONValue {
    [
        "object": "list", "data": .array(data), "first_id": ids.first.json, "last_id": ids.last.json,
        "has_more": .bool(hasMore),
    ]
}
