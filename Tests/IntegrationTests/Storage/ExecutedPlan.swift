import JSON
import Postgres
import Testing

/// What `EXPLAIN ANALYZE` says of a statement, which is carried out for it.
struct ExecutedPlan {
    let json: String
    private let root: JSONObject

    init(of statement: PostgresStatement, on pool: PostgresPool) async throws {
        json = try await pool.value("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) \(sql: statement)")
        root = try #require(try JSONValue(parsing: json, maximumDepth: 1_000).array?.first?.object?["Plan"]?.object)
    }

    /// Rows that it took from tables.
    var touchedRowCount: Int { root.touchedRowCount }
}

extension JSONObject {
    /// Rows that this node of a plan, and those below it, took from tables.
    fileprivate var touchedRowCount: Int {
        let loops = self["Actual Loops"]?.number?.value ?? 0
        let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map {
            self[$0]?.number?.value ?? 0
        }
        let own = self["Relation Name"] == nil ? 0 : Int((rows.reduce(0, +) * loops).rounded())
        return own + (self["Plans"]?.array ?? []).compactMap { $0.object?.touchedRowCount }.reduce(0, +)
    }
}
