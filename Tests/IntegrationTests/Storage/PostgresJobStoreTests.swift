import Embeddings
import JSON
import Postgres
import Storage
import Testing

/// What the contract of job stores cannot show: what the tables hold, what pages cost, and races.
@Suite(.enabled(if: TestDatabase.isAvailable, TestDatabase.explanation), .serialized)
struct PostgresJobStoreTests {
    @Test func anAppendSentTwiceIsThereOnce() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let job = try await store.beginJob(JobSample.specification())
            let inputs = (0..<600).map { index in
                index % 5 == 0
                    ? JobSample.invalid("\(index)", "line \(index): \0") : JobSample.input("\(index)", "text \(index)")
            }
            func rows() async throws -> [String] {
                try await pool.query(
                    """
                    SELECT (total, failed)::text FROM ovenbird.jobs UNION ALL
                    SELECT (seq, version, external_id, content_sha256)::text FROM ovenbird.job_inputs UNION ALL
                    SELECT (first_seq, last_seq, pending, byte_count, state)::text FROM ovenbird.job_segments UNION ALL
                    SELECT (seq, code, message)::text FROM ovenbird.job_errors ORDER BY 1
                    """
                ).map { try $0.decode(0) }
            }
            try await store.append(Array(inputs[..<300]), at: 0, to: job)
            let first = try await rows()
            try await store.append(Array(inputs[..<300]), at: 0, to: job)
            #expect(try await rows() == first)
            try await store.append(Array(inputs[300...]), at: 300, to: job)
            let second = try await rows()
            try await store.append(Array(inputs[..<300]), at: 0, to: job)
            try await store.append(Array(inputs[300...]), at: 300, to: job)
            #expect(try await rows() == second)
            // 600 inputs in segments of 256, 44, 256 and 44, and 120 errors.
            #expect(second.count == 725)
            #expect(second.contains("(600,120)"))
            #expect(second.contains { $0.contains("line 5: \u{FFFD}") })
            // Later lines have later versions.
            #expect(
                try await pool.value(
                    """
                    SELECT count(*) FROM (
                        SELECT version - lag(version) OVER (ORDER BY seq) AS step FROM ovenbird.job_inputs
                    ) AS s WHERE step > 0
                    """) == 599)

            // An append is missing before this one.
            await #expect(throws: StorageError.self) {
                try await store.append([JobSample.input("700", "text")], at: 700, to: job)
            }
            _ = try await store.commit(job, hash: nil)
            await #expect(throws: StorageError.self) {
                try await store.append([JobSample.input("600", "text")], at: 600, to: job)
            }
            #expect(try await store.job(job)?.counts == JobCounts(total: 600, failed: 120))
        }
    }

    @Test func oneKeyMakesOneJobHoweverManyRaceForIt() async throws {
        try await TestDatabase.withJobStore { store, _, pool in
            let answers = try await withThrowingTaskGroup(of: (JobID, JobSubmission).self) { group in
                for number in 0..<40 {
                    group.addTask {
                        let job = try await store.beginJob(JobSample.specification(key: "k"))
                        try await store.append([JobSample.input("a", "text \(number % 2)")], at: 0, to: job)
                        let answer = try await store.commit(job, hash: JobSample.hash(UInt8(number % 2)))
                        // As after an answer that was lost.
                        #expect(try await store.commit(job, hash: JobSample.hash(UInt8(number % 2))) == answer)
                        return (job, answer)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            var accepted: [JobID] = []
            var replayed: Set<JobID> = []
            var conflicting: Set<JobID> = []
            for (job, answer) in answers {
                switch answer {
                case .accepted(let own):
                    #expect(own.id == job)
                    accepted.append(job)
                case .replayed(let other): replayed.insert(other.id)
                case .conflict(let other): conflicting.insert(other)
                }
            }
            #expect(accepted.count == 1 && replayed == Set(accepted) && conflicting == Set(accepted))
            #expect(try await store.jobs(JobQuery()).jobs.map(\.id) == accepted)
            let named = try await store.submission(of: JobOwner("tester"), key: "k")
            #expect(named?.job.id == accepted.first)
            // Another owner's key is another key.
            let other = try await JobSample.job(of: 1, in: store, JobSample.specification(owner: "other", key: "k"))

            var steps = 0
            let retention = JobRetention(abandonedUploads: .seconds(3_600), endedJobs: .seconds(3_600))
            while try await store.maintain(retention).hasMore { steps += 1 }
            #expect(steps < 3)
            for table in ["jobs", "job_inputs", "job_segments"] as [PostgresStatement] {
                #expect(try await pool.value("SELECT count(*) FROM ovenbird.\(sql: table)") == 2)
            }
            // A deleted job gives its key back.
            for job in accepted + [other] { #expect(try await store.deleteJob(job)) }
            let again = try await store.beginJob(JobSample.specification(key: "k"))
            guard case .accepted = try await store.commit(again, hash: JobSample.hash(9)) else {
                throw ContractBroken("the key of a deleted job is still taken")
            }
        }
    }

    @Test func textsArriveAsTheyWereSent() async throws {
        try await TestDatabase.withJobStore { store, documents, pool in
            let collection = try await Sample.collection(in: documents)
            var deep = "{}"
            for _ in 0..<15 { deep = #"{"ключ \"\\":\#(deep),"n":[1e300,-0,"\u0001 \ud83d\ude00"]}"# }
            let metadata = try #require(try JSONValue(parsing: deep).object)
            let texts = [
                "'; DROP TABLE ovenbird.jobs; --", "{1,2,NULL}", "\\x00 \\N \"",
                "\u{FEFF}\u{202E}e\u{301}\u{0}".filter { $0 != "\0" },
                "\r\n\t\u{1}\u{7F}", String(repeating: "😀", count: 300_000), "NULL", " ",
            ]
            let ids = texts.indices.map { String(repeating: "é'\"\\", count: 102).prefix(400) + "\($0)" }
            let job = try await store.beginJob(JobSample.specification(collection: collection))
            try await store.append(
                zip(ids, texts).map { JobSample.input(String($0), $1, metadata) }, at: 0, to: job)
            let rows = try await pool.query(
                """
                SELECT external_id, text, metadata, content_sha256 = sha256(convert_to(text, 'UTF8'))
                FROM ovenbird.job_inputs ORDER BY seq
                """)
            #expect(rows.count == texts.count)
            for (row, (id, text)) in zip(rows, zip(ids, texts)) {
                #expect(try Array(row.decode(0, as: String.self).utf8) == Array(id.utf8))
                #expect(try Array(row.decode(1, as: String.self).utf8) == Array(text.utf8))
                let stored = try JSONValue(parsing: row.decode(2, as: JSONBText.self).text, maximumDepth: 1_000).object
                #expect(stored?.isSame(as: metadata) == true)
                #expect(try row.decode(3))
            }
            // The long one stands alone: it is over half a MiB.
            #expect(
                try await pool.query("SELECT first_seq, last_seq FROM ovenbird.job_segments ORDER BY 1").map {
                    try [$0.decode(0, as: Int.self), try $0.decode(1)]
                } == [[0, 4], [5, 5], [6, 7]])
        }
    }
}
