import Embeddings
import JSON
import Storage
import Testing

/// What every `BatchStore` owes to those who call it, beside a store of jobs.
struct BatchClaim: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let check: @Sendable (any BatchStore, any JobStore) async throws -> Void

    init(_ name: String, _ check: @escaping @Sendable (any BatchStore, any JobStore) async throws -> Void) {
        testDescription = name
        self.check = check
    }

    static let all: [BatchClaim] = files + batches + work

    private static func upload(_ store: any BatchStore, _ chunks: [[UInt8]] = [[1, 2], [3]]) async throws -> FileID {
        let id = try await store.beginFile(named: "in.jsonl")
        for (number, chunk) in chunks.enumerated() { try await store.append(chunk, as: number, to: id) }
        _ = try await store.completeFile(id, lifetime: .seconds(3_600))
        return id
    }

    private static func makeBatch(_ store: any BatchStore, window: Duration = .seconds(3_600)) async throws -> Batch {
        let specification = BatchSpecification(
            inputFile: try await upload(store), owner: JobOwner("tester"), metadata: JSONObject(["k": "v\u{301}"]),
            completionWindow: window, outputLifetime: .seconds(7_200))
        return try #require(try await store.createBatch(specification))
    }

    private static func claim(_ store: any BatchStore, for duration: Duration = .seconds(60)) async throws
        -> LeasedBatch
    {
        try #require(try await store.claimBatch(for: duration))
    }

    private static func request(_ line: Int, _ id: String, _ inputs: Range<Int> = 0..<1) -> BatchRequest {
        BatchRequest(
            line: line, customID: id,
            content: .embedded(inputs: inputs, AnswerFormat(encoding: .base64, dimensions: 3)))
    }

    /// The batch in progress, with a job that has been queued.
    private static func start(
        _ store: any BatchStore, _ jobs: any JobStore
    ) async throws -> JobID {
        let leased = try await claim(store)
        let job = try await jobs.beginJob(
            JobSpecification(source: .batch, owner: JobOwner("tester"), collection: nil, model: Sample.model()))
        #expect(try await store.beginValidation(leased.lease, draft: job))
        #expect(try await store.append([request(1, "a")], leased.lease) == .appended(duplicateLines: []))
        try await jobs.append([JobInput(id: "a", content: .success(.init(text: "x")))], at: 0, to: job)
        _ = try await jobs.commit(job, hash: nil)
        let start = BatchStart(job: job, modelName: "m", requestCount: 1, refusedCount: 0, inputCount: 1)
        #expect(try await store.start(leased.lease, start))
        return job
    }

    // MARK: - Files

    static let files = [
        BatchClaim("a file is seen when it is whole, byte for byte") { store, _ in
            let id = try await store.beginFile(named: "a \"name\".jsonl")
            try await store.append([0, 255, 13], as: 0, to: id)
            try await store.append([9], as: 1, to: id)
            // Sent again after a lost answer.
            try await store.append([7, 7], as: 0, to: id)
            #expect(try await store.file(id) == nil)
            #expect(try await store.content(of: id, chunk: 0) == nil)
            #expect(try await store.files(FileQuery())?.files.contains { $0.id == id } == false)
            #expect(try await store.deleteFile(id) == .unknown)
            let file = try #require(try await store.completeFile(id, lifetime: .seconds(3_600)))
            #expect(file.byteCount == 4 && file.name == "a \"name\".jsonl" && file.content == .uploaded)
            let expected = file.createdAt.microsecondsSinceUnixEpoch + 3_600_000_000
            #expect(abs((file.expiresAt?.microsecondsSinceUnixEpoch ?? 0) - expected) < 1_000_000)
            #expect(try await store.completeFile(id, lifetime: .seconds(9)) == file)
            #expect(try await store.content(of: id, chunk: 0) == [0, 255, 13])
            #expect(try await store.content(of: id, chunk: 1) == [9])
            #expect(try await store.content(of: id, chunk: 2) == nil)
            await #expect(throws: StorageError.self) { try await store.append([1], as: 2, to: id) }
            try await store.discardFile(id)
            #expect(try await store.file(id) == file)
            #expect(try await store.deleteFile(id) == .deleted)
            #expect(try await store.file(id) == nil)
            #expect(try await store.content(of: id, chunk: 0) == nil)
        },
        BatchClaim("a discarded upload is gone") { store, _ in
            let id = try await store.beginFile(named: "x")
            try await store.append([1], as: 0, to: id)
            try await store.discardFile(id)
            #expect(try await store.completeFile(id, lifetime: .seconds(60)) == nil)
        },
        BatchClaim("abandoned uploads and expired files are swept, others are not") { store, _ in
            let arriving = try await store.beginFile(named: "arriving")
            let whole = try await upload(store)
            let expired = try await store.beginFile(named: "expired")
            try await store.append([1], as: 0, to: expired)
            _ = try await store.completeFile(expired, lifetime: .zero)
            #expect(try await store.file(expired) == nil)
            while try await store.maintain(abandonedUploads: .seconds(60)) {}
            try await store.append([1], as: 0, to: arriving)
            // Less than nothing, since a clock may show the same microsecond twice.
            while try await store.maintain(abandonedUploads: .seconds(-1)) {}
            #expect(try await store.completeFile(arriving, lifetime: .seconds(60)) == nil)
            #expect(try await store.file(whole) != nil)
            #expect(try await store.content(of: expired, chunk: 0) == nil)
        },
        BatchClaim("files are paged in both orders") { store, _ in
            var ids: [FileID] = []
            for _ in 0..<4 { ids.append(try await upload(store)) }
            func page(_ query: FileQuery) async throws -> ([FileID], Bool) {
                let page = try #require(try await store.files(query))
                return (page.files.map(\.id), page.hasMore)
            }
            #expect(try await page(FileQuery(limit: 3)) == ([ids[3], ids[2], ids[1]], true))
            #expect(try await page(FileQuery(after: ids[2], limit: 2)) == ([ids[1], ids[0]], false))
            #expect(try await page(FileQuery(after: ids[1], order: .oldestFirst)) == ([ids[2], ids[3]], false))
            #expect(try await page(FileQuery(limit: 4, purpose: .batch)).0.count == 4)
            #expect(try await page(FileQuery(purpose: .batchOutput)) == ([], false))
            #expect(try await store.files(FileQuery(after: .random())) == nil)
        },
    ]

    // MARK: - Batches

    static let batches = [
        BatchClaim("a batch is what was asked for") { store, _ in
            let batch = try await makeBatch(store)
            #expect(batch.status == .validating && batch.owner == JobOwner("tester"))
            #expect(
                batch.metadata?.isSame(as: JSONObject(["k": "v\u{301}"])) == true
                    && batch.outputLifetime == .seconds(7_200))
            let window =
                batch.moments.expires.microsecondsSinceUnixEpoch - batch.moments.created.microsecondsSinceUnixEpoch
            #expect(window == 3_600_000_000)
            #expect(try await store.batch(batch.id) == batch)
            #expect(try await store.batch(.random()) == nil)
            #expect(try await store.deleteFile(batch.inputFile) == .inUse(by: batch.id))
            let unknown = BatchSpecification(inputFile: .random(), owner: .anonymous)
            #expect(try await store.createBatch(unknown) == nil)
        },
        BatchClaim("batches are paged, newest first") { store, _ in
            var ids: [BatchID] = []
            for _ in 0..<3 { ids.append(try await makeBatch(store).id) }
            let first = try #require(try await store.batches(after: nil, limit: 2))
            #expect(first.batches.map(\.id) == [ids[2], ids[1]] && first.hasMore)
            let second = try #require(try await store.batches(after: ids[1], limit: 2))
            #expect(second.batches.map(\.id) == [ids[0]] && !second.hasMore)
            #expect(try await store.batches(after: .random(), limit: 2) == nil)
        },
        BatchClaim("cancelling takes the lease away and is done once") { store, _ in
            let batch = try await makeBatch(store)
            let leased = try await claim(store)
            guard case .done(let cancelling) = try await store.cancelBatch(batch.id) else {
                throw ContractBroken("not cancelled")
            }
            #expect(cancelling.status == .cancelling && cancelling.moments.cancelling != nil)
            #expect(try await store.cancelBatch(batch.id) == .done(cancelling))
            #expect(try await store.extend(leased.lease, by: .seconds(9)) == false)
            #expect(try await store.append([request(1, "a")], leased.lease) == .leaseLost)
            #expect(try await store.deleteFile(batch.inputFile) == .deleted)
            let again = try await claim(store)
            #expect(again.batch.status == .cancelling && again.lease.token > leased.lease.token && again.attempt == 1)
            #expect(try await store.end(again.lease, BatchEnd(ending: .cancelled, fileLifetime: .seconds(60))))
            #expect(try await store.batch(batch.id)?.status == .cancelled)
            #expect(try await store.cancelBatch(.random()) == .unknown)
        },
    ]

    // MARK: - Work

    static let work = [
        BatchClaim("a batch is one worker's, until its lease is over") { store, _ in
            let batch = try await makeBatch(store)
            let first = try await claim(store, for: .milliseconds(1))
            #expect(first.batch.id == batch.id && first.attempt == 1 && !first.isOverdue && first.ending == nil)
            var second: LeasedBatch?
            while second == nil { second = try await store.claimBatch(for: .seconds(60)) }
            let lease = try #require(second).lease
            #expect(lease.token > first.lease.token && second?.attempt == 2)
            #expect(try await store.claimBatch(for: .seconds(60)) == nil)
            #expect(try await store.extend(first.lease, by: .seconds(60)) == false)
            #expect(try await store.beginValidation(first.lease, draft: .random()) == false)
            #expect(try await store.refuse(first.lease, errors: []) == false)
            #expect(try await store.release(first.lease, pause: .zero, .refunded) == false)
            #expect(try await store.extend(lease, by: .seconds(60)))
            #expect(try await store.release(lease, pause: .zero, .refunded))
            #expect(try await claim(store).attempt == 2)
        },
        BatchClaim("a pause is kept and a charge too") { store, _ in
            _ = try await makeBatch(store)
            #expect(try await store.release(try await claim(store).lease, pause: .zero, .kept))
            let again = try await claim(store)
            #expect(again.attempt == 2)
            #expect(try await store.release(again.lease, pause: .seconds(60), .kept))
            #expect(try await store.claimBatch(for: .seconds(60)) == nil)
        },
        BatchClaim("a custom id is taken once, and another attempt begins anew") { store, _ in
            let batch = try await makeBatch(store)
            let lease = try await claim(store).lease
            #expect(try await store.beginValidation(lease, draft: .random()))
            let composed = request(3, "\u{E9}", 1..<4)
            let refused = BatchRequest(
                line: 9, customID: "r", content: .refused(ItemError(code: "c", message: "m"), parameter: "input[1]"))
            #expect(
                try await store.append([request(1, "a"), composed, request(4, "a")], lease)
                    == .appended(duplicateLines: [4]))
            // An accent of its own is another id.
            #expect(
                try await store.append([request(5, "e\u{301}"), request(6, "\u{E9}"), refused], lease)
                    == .appended(duplicateLines: [6]))
            #expect(
                try await store.requests(of: batch.id, afterLine: 0, limit: 9)
                    == [request(1, "a"), composed, request(5, "e\u{301}"), refused])
            #expect(try await store.requests(of: batch.id, afterLine: 1, limit: 1) == [composed])
            let draft = JobID.random()
            #expect(try await store.beginValidation(lease, draft: draft))
            #expect(try await store.requests(of: batch.id, afterLine: 0, limit: 9).isEmpty)
            #expect(try await store.batch(batch.id)?.job == draft)
        },
        BatchClaim("a refused batch says why") { store, _ in
            let batch = try await makeBatch(store)
            let lease = try await claim(store).lease
            _ = try await store.append([request(1, "a")], lease)
            let errors = [
                BatchError(code: "a", message: "\"m\" \u{1F99C}", parameter: "p", line: 3),
                BatchError(code: "b", message: "n"),
            ]
            #expect(try await store.refuse(lease, errors: errors))
            let refused = try #require(try await store.batch(batch.id))
            #expect(refused.status == .failed && refused.errors == errors && refused.moments.failed != nil)
            #expect(try await store.requests(of: batch.id, afterLine: 0, limit: 9).isEmpty)
            #expect(try await store.claimBatch(for: .seconds(60)) == nil)
            guard case .refused(.failed) = try await store.cancelBatch(batch.id) else {
                throw ContractBroken("a failed batch was cancelled")
            }
            #expect(try await store.deleteFile(batch.inputFile) == .deleted)
        },
        BatchClaim("a batch in progress waits for its job, then ends with its files") { store, jobs in
            let batch = try await makeBatch(store)
            let job = try await start(store, jobs)
            var now = try #require(try await store.batch(batch.id))
            #expect(now.status == .inProgress && now.job == job && now.counts == BatchCounts(total: 1))
            #expect(now.inputCount == 1 && now.modelName == "m" && now.moments.inProgress != nil)
            #expect(try await store.claimBatch(for: .seconds(60)) == nil)
            _ = try await jobs.apply(.cancel, to: job)
            let leased = try await claim(store)
            #expect(leased.attempt == 1)
            #expect(try await store.beginFinalizing(leased.lease, ending: .expired))
            #expect(try await store.beginFinalizing(leased.lease, ending: .completed))
            #expect(try await store.release(leased.lease, pause: .zero, .refunded))
            let again = try await claim(store)
            #expect(again.batch.status == .finalizing && again.ending == .expired)
            let counts = BatchCounts(total: 2, completed: 1, failed: 1)
            let end = BatchEnd(
                ending: .expired, counts: counts, tokenCount: 7, outputByteCount: 10, errorByteCount: 20,
                fileLifetime: .seconds(600))
            #expect(try await store.end(again.lease, end))
            #expect(try await store.end(again.lease, end) == false)
            now = try #require(try await store.batch(batch.id))
            #expect(now.status == .expired && now.counts == counts && now.tokenCount == 7)
            #expect(now.moments.expired != nil && now.moments.finalizing != nil && now.moments.completed == nil)
            let output = try #require(now.outputFile)
            let error = try #require(now.errorFile)
            let file = try #require(try await store.file(output))
            #expect(file.content == .view(of: batch.id, .output) && file.byteCount == 10)
            #expect(try await store.file(error)?.content == .view(of: batch.id, .error))
            #expect(try await store.files(FileQuery(purpose: .batchOutput))?.files.map(\.id).contains(error) == true)
            #expect(
                try await store.createBatch(BatchSpecification(inputFile: output, owner: .anonymous)) == nil,
                "answers are no requests")
            // The requests are kept as long as a file tells of them.
            #expect(try await store.deleteFile(output) == .deleted)
            #expect(try await store.requests(of: batch.id, afterLine: 0, limit: 9).count == 1)
            #expect(try await store.deleteFile(error) == .deleted)
            #expect(try await store.requests(of: batch.id, afterLine: 0, limit: 9).isEmpty)
        },
        BatchClaim("a batch is claimed when its time is over, or its job is gone") { store, jobs in
            let overdue = try await makeBatch(store, window: .milliseconds(1))
            _ = try await start(store, jobs)
            var leased: LeasedBatch?
            while leased == nil { leased = try await store.claimBatch(for: .seconds(60)) }
            #expect(leased?.batch.id == overdue.id && leased?.isOverdue == true)
            let orphaned = try await makeBatch(store)
            let job = try await start(store, jobs)
            #expect(try await store.claimBatch(for: .seconds(60)) == nil)
            _ = try await jobs.deleteJob(job)
            #expect(try await claim(store).batch.id == orphaned.id)
        },
        BatchClaim("no file outlives its results") { store, jobs in
            let batch = try await makeBatch(store)
            let job = try await start(store, jobs)
            _ = try await jobs.apply(.cancel, to: job)
            let lease = try await claim(store).lease
            #expect(try await store.beginFinalizing(lease, ending: .completed))
            let latest = Timestamp(
                microsecondsSinceUnixEpoch: batch.moments.created.microsecondsSinceUnixEpoch + 100_000_000)
            #expect(
                try await store.end(
                    lease,
                    BatchEnd(
                        ending: .completed, counts: BatchCounts(total: 1, completed: 1), outputByteCount: 1,
                        fileLifetime: .seconds(600), filesEndBy: latest)))
            let now = try #require(try await store.batch(batch.id))
            #expect(now.errorFile == nil && now.status == .completed)
            #expect(try await store.file(try #require(now.outputFile))?.expiresAt == latest)
        },
    ]
}
