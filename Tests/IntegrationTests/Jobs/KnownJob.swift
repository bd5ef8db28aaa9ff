import Foundation
import JSON
import Postgres
import Testing

/// A job whose every input's end is known beforehand.
struct KnownJob {
    struct Line {
        let id: String
        /// Nil: it is no valid line.
        let text: String?
    }

    let collection: String?
    let lines: [Line]

    /// Of 50 lines one has no text and one the text of the line before it; in a collection's job one has the id of the
    /// line before it.
    init(_ name: String, count: Int, collection: String?) {
        self.collection = collection
        lines = (0..<count).map { number in
            let text = "\(name) \(number * 7919 % 10_007) tells of bread number \(number)"
            switch number % 50 {
            case 17: return Line(id: "d\(number)", text: nil)
            case 23:
                return Line(
                    id: "d\(number)",
                    text: "\(name) \((number - 1) * 7919 % 10_007) tells of bread number \(number - 1)")
            case 31 where collection != nil: return Line(id: "d\(number - 1)", text: text)
            default: return Line(id: "d\(number)", text: text)
            }
        }
    }

    var body: String {
        lines.map { line in
            line.text.map { "{\"id\":\"\(line.id)\",\"text\":\"\($0)\"}\n" } ?? "{\"id\":\"\(line.id)\"}\n"
        }.joined()
    }

    private var invalid: [Int] { lines.indices.filter { lines[$0].text == nil } }

    /// For each id the last text sent.
    private var winners: [String: String] {
        var winners: [String: String] = [:]
        for line in lines { if let text = line.text { winners[line.id] = text } }
        return winners
    }

    /// Everything that must hold of the job when it has ended, whatever happened meanwhile.
    func check(_ publicID: String, on connection: PostgresConnection) async throws {
        let job = try #require(
            try await connection.query(
                """
                SELECT id, state, total, succeeded, failed FROM ovenbird.jobs WHERE public_id = \(publicID)
                """
            ).first)
        let id: Int = try job.decode(0)
        #expect(try job.decode(1, as: String.self) == "completed")
        #expect(try job.decode(2, as: Int.self) == lines.count)
        #expect(try job.decode(3, as: Int.self) == lines.count - invalid.count)
        #expect(try job.decode(4, as: Int.self) == invalid.count)

        let gaps = try await connection.query(
            """
            SELECT first_seq FROM (
                SELECT state, first_seq, lag(last_seq, 1, -1) OVER (ORDER BY first_seq) + 1 AS expected
                FROM ovenbird.job_segments WHERE job_id = \(id)) AS s
            WHERE state <> 'done' OR first_seq <> expected
            """)
        #expect(gaps.isEmpty, "segments are not done, or overlap, or leave a gap")
        let errors = try await connection.query(
            "SELECT seq FROM ovenbird.job_errors WHERE job_id = \(id) ORDER BY seq")
        #expect(try errors.map { try $0.decode(0, as: Int.self) } == invalid)
        if let collection {
            try await checkDocuments(of: collection, on: connection)
        } else {
            try await checkResults(of: id, on: connection)
        }
    }

    private func checkResults(of job: Int, on connection: PostgresConnection) async throws {
        let row = try #require(
            try await connection.query(
                """
                SELECT count(*), count(DISTINCT r.seq), count(i.seq), count(s.embedding) FROM ovenbird.job_results AS r
                LEFT JOIN ovenbird.job_inputs AS i ON i.job_id = r.job_id AND i.seq = r.seq
                LEFT JOIN ovenbird.job_results AS s ON s.job_id = r.job_id AND s.seq = coalesce(r.same_as, r.seq)
                WHERE r.job_id = \(job)
                """
            ).first)
        // Rows, different inputs, inputs that exist, vectors found.
        for column in 0..<4 { #expect(try row.decode(column, as: Int.self) == lines.count - invalid.count) }
    }

    private func checkDocuments(of collection: String, on connection: PostgresConnection) async throws {
        let rows = try await connection.query(
            "SELECT id, text, embedding IS NOT NULL FROM ovenbird_views.\(identifier: collection)")
        #expect(rows.count == winners.count)
        var stored: [String: String] = [:]
        for row in rows {
            stored[try row.decode(0)] = try row.decode(1, as: String.self)
            #expect(try row.decode(2, as: Bool.self))
        }
        #expect(stored == winners)
        let number: Int = try #require(
            try await connection.query("SELECT id FROM ovenbird.collections WHERE name = \(collection)").first
        ).decode(0)
        let vectors = try #require(
            try await connection.query("SELECT count(*) FROM ovenbird.vectors_\(literal: number)").first)
        #expect(try vectors.decode(0, as: Int.self) == winners.count)
    }

    /// Texts and their vectors as stored.
    func sample(
        _ count: Int, of publicID: String, on connection: PostgresConnection
    ) async throws -> [(text: String, vector: [Double])] {
        let rows: PostgresResult
        if let collection {
            rows = try await connection.query(
                """
                SELECT text, embedding::text FROM ovenbird_views.\(identifier: collection)
                ORDER BY random() LIMIT \(count)
                """)
        } else {
            rows = try await connection.query(
                """
                SELECT i.text, s.embedding::text FROM ovenbird.job_results AS r
                JOIN ovenbird.jobs AS j ON j.id = r.job_id AND j.public_id = \(publicID)
                JOIN ovenbird.job_inputs AS i ON i.job_id = r.job_id AND i.seq = r.seq
                JOIN ovenbird.job_results AS s ON s.job_id = r.job_id AND s.seq = coalesce(r.same_as, r.seq)
                ORDER BY random() LIMIT \(count)
                """)
        }
        return try rows.map { row in
            let digits: String = try row.decode(1)
            return (try row.decode(0), digits.dropFirst().dropLast().split(separator: ",").compactMap { Double($0) })
        }
    }
}
