import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func listJobs(_ request: Request) async throws(APIError) -> Response {
        let jobs = try requireJobs()
        let query: JobQuery
        do throws(RequestError) {
            query = try JobQuery(request.uri.query, maximum: configuration.maxResults)
        } catch { throw APIError(error) }
        let page = try await stored { () async throws(StorageError) in try await jobs.jobs(query) }
        let objects = page.jobs.map { JSONValue.object(object($0).json) }
        return .json(
            .ok,
            [
                "object": "list", "data": .array(objects),
                "next": page.next.map { .string($0.description) } ?? .null,
            ])
    }

    func job(_ id: String) async throws(APIError) -> Response {
        let (jobs, job) = try await findJob(id)
        return try await describe(job, in: jobs)
    }

    func apply(_ command: JobCommand, toJob id: String) async throws(APIError) -> Response {
        let (jobs, id) = try jobID(id)
        if command == .retryFailed {
            let job = try await stored { () async throws(StorageError) in try await jobs.job(id) }
            // A batch's files are views on its job's results, and must not change.
            if let job, job.source == .batch { throw APIError(RequestError.jobState(job.state, command: command)) }
        }
        let transition = try await stored { () async throws(StorageError) in try await jobs.apply(command, to: id) }
        switch transition {
        case .done(let job):
            switch command {
            case .resume, .retryFailed: onJobCommitted()
            case .pause, .cancel: break
            }
            return try await describe(job, in: jobs)
        case .unknown: throw APIError(RequestError.jobUnknown)
        case .refused(let state): throw APIError(RequestError.jobState(state, command: command))
        }
    }

    func deleteJob(_ id: String) async throws(APIError) -> Response {
        let (jobs, id) = try jobID(id)
        let existed = try await stored { () async throws(StorageError) in try await jobs.deleteJob(id) }
        guard existed else { throw APIError(RequestError.jobUnknown) }
        return .json(.ok, ["id": .string(id.description), "object": "job", "deleted": true])
    }

    func jobErrors(of id: String, _ request: Request) async throws(APIError) -> Response {
        let limit: Int
        let after: Int?
        do throws(RequestError) {
            let query = try QueryParameters(request.uri.query, known: ["after", "limit"])
            limit = try query.integer("limit", in: 1...configuration.maxResults) ?? min(100, configuration.maxResults)
            after = try query.integer("after", in: 0...Int(Int32.max))
        } catch { throw APIError(error) }
        let (jobs, job) = try await findJob(id)
        // One more than asked for tells whether any follow.
        let found = try await stored { () async throws(StorageError) in
            try await jobs.failures(of: job.id, after: after, limit: limit + 1)
        }
        let failures = found.prefix(limit)
        let next = found.count > limit ? failures.last?.index : nil
        return .json(
            .ok,
            [
                "object": "list", "data": .array(failures.map(\.json)),
                "next": next.map { .number(JSONNumber($0)) } ?? .null,
            ])
    }

    private func describe(_ job: Job, in jobs: any JobStore) async throws(APIError) -> Response {
        let failures =
            job.counts.failed == 0
            ? []
            : try await stored { () async throws(StorageError) in
                try await jobs.failures(of: job.id, after: nil, limit: configuration.maxJobErrors)
            }
        return .json(.ok, .object(object(job).json(failures: failures)))
    }

    func object(_ job: Job) -> JobObject {
        JobObject(job: job, retention: configuration.jobRetention)
    }

    func findJob(_ id: String) async throws(APIError) -> (store: any JobStore, job: Job) {
        let (jobs, id) = try jobID(id)
        let job = try await stored { () async throws(StorageError) in try await jobs.job(id) }
        guard let job else { throw APIError(RequestError.jobUnknown) }
        return (jobs, job)
    }

    private func jobID(_ text: String) throws(APIError) -> (store: any JobStore, id: JobID) {
        let jobs = try requireJobs()
        guard let id = JobID(text) else { throw APIError(RequestError.jobUnknown) }
        return (jobs, id)
    }
}

extension JobQuery {
    /// `?state=a,b&collection=&source=&after=&limit=`.
    fileprivate init(_ query: String?, maximum: Int) throws(RequestError) {
        let parameters = try QueryParameters(query, known: ["state", "collection", "source", "after", "limit"])
        self.init(limit: try parameters.integer("limit", in: 1...maximum) ?? min(100, maximum))
        for word in parameters["state"]?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
            // Nobody sees a job that is still received.
            guard let state = JobState(rawValue: String(word)), state != .receiving else {
                let known = JobState.allCases.filter { $0 != .receiving }.map(\.rawValue).joined(separator: ", ")
                throw .invalidValue(field: "state", reason: "state takes, with commas between them, \(known)")
            }
            states.insert(state)
        }
        if let name = parameters["collection"] {
            guard let name = CollectionName(name) else {
                throw .invalidValue(field: "collection", reason: "no collection can have this name")
            }
            collection = name
        }
        source = try parameters.word("source", JobSource.self)
        if let text = parameters["after"] {
            guard let id = JobID(text) else { throw .invalidValue(field: "after", reason: "after must be a job's id") }
            after = id
        }
    }
}
