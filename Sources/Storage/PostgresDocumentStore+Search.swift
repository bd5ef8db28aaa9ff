package import Embeddings
import JSON
import Postgres

extension PostgresDocumentStore {
    package func search(
        _ request: SearchRequest, in collection: DocumentCollection
    ) async throws(StorageError) -> [SearchHit] {
        try await run(in: collection) { tables throws(PostgresError) in
            // One more than wanted shows whether the last place is shared. Then every one who shares it is needed, since
            // ids decide among equals; that costs a full sort, so it is not asked for at first.
            let plain = try await pool.read(
                Self.searchStatement(request, on: tables, rows: "LIMIT \(request.limit + 1)"))
            let candidates = try Self.candidates(plain)
            guard candidates.count > request.limit,
                candidates[request.limit].distance == candidates[request.limit - 1].distance
            else { return try Self.hits(candidates.prefix(request.limit), of: request) }
            let tied = try await pool.read(
                Self.searchStatement(request, on: tables, rows: "FETCH FIRST (\(request.limit)) ROWS WITH TIES"))
            return try Self.hits(try Self.candidates(tied).prefix(request.limit), of: request)
        }
    }

    /// Only numbers go through the sort; text, metadata and vectors are read for the rows that come out of it. The
    /// documents are named first everywhere, so that locks are taken in one order.
    private static func searchStatement(
        _ request: SearchRequest, on tables: CollectionTables, rows: PostgresStatement
    ) -> PostgresStatement {
        let vector = tables.vectorExtension.parameter(HalfVector(rounding: request.vector))
        let distance: PostgresStatement =
            "v.embedding \(sql: tables.vectorExtension.cosineDistance) \(sql: vector)"
        let source: PostgresStatement =
            if let filter = request.filter {
                """
                \(sql: tables.documents) AS d JOIN \(sql: tables.vectors) AS v ON v.document_id = d.id
                    WHERE \(sql: filter.sql)
                """
            } else {
                "\(sql: tables.vectors) AS v"
            }
        let wantedVector: PostgresStatement = request.includesVectors ? "v.embedding" : "NULL"
        let vectorSource: PostgresStatement =
            request.includesVectors ? "JOIN \(sql: tables.vectors) AS v ON v.document_id = n.document_id" : ""
        return """
            SELECT n.distance, d.external_id, d.text, d.metadata, \(sql: wantedVector)
            FROM \(sql: tables.documents) AS d JOIN (
                SELECT v.document_id, \(sql: distance) AS distance FROM \(sql: source)
                ORDER BY distance \(sql: rows)
            ) AS n ON n.document_id = d.id \(sql: vectorSource)
            ORDER BY n.distance, d.external_id LIMIT \(request.limit + 1)
            """
    }

    private struct Candidate {
        let distance: Double
        let row: PostgresRow
    }

    private static func candidates(_ rows: PostgresResult) throws(PostgresError) -> [Candidate] {
        var candidates: [Candidate] = []
        for row in rows {
            let distance: Double = try row.decode(0)
            // A stored vector of zeros has no direction, its distance is NaN, and the server sorts it last.
            if !distance.isNaN { candidates.append(Candidate(distance: distance, row: row)) }
        }
        return candidates
    }

    private static func hits(
        _ candidates: some Sequence<Candidate>, of request: SearchRequest
    ) throws(PostgresError) -> [SearchHit] {
        var hits: [SearchHit] = []
        for candidate in candidates {
            let row = candidate.row
            hits.append(
                SearchHit(
                    id: try row.decode(1), score: 1 - candidate.distance, text: try row.decode(2),
                    metadata: try JSONObject(stored: try row.decode(3)),
                    vector: request.includesVectors ? try row.decode(4, as: HalfVector.self).widened : nil))
        }
        return hits
    }
}
