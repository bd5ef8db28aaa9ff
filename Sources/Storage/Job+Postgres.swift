import Embeddings
import Postgres

extension Job {
    /// Columns of a `selection`, before those that are added to it.
    static let columnCount = 19

    /// What senders see, in terms of the job `j`.
    static let isVisible: PostgresStatement = "j.state <> 'receiving' AND j.deleted_at IS NULL"

    /// Jobs, as `j` of the source, with what is added behind their columns.
    static func selection(
        _ added: PostgresStatement = "", from source: PostgresStatement = "ovenbird.jobs AS j",
        where condition: PostgresStatement
    ) -> PostgresStatement {
        """
        SELECT j.public_id, j.state, j.source, j.owner, j.collection_name, m.name, m.dimensions, j.priority, j.total,
            j.succeeded, j.failed, j.deduplicated, j.token_count, j.created_at, j.started_at, j.ended_at,
            j.data_dropped_at, j.failure_code, j.failure_message \(sql: added)
        FROM \(sql: source) JOIN ovenbird.model_versions AS m ON m.id = j.model_version_id WHERE \(sql: condition)
        """
    }

    /// Reads a row of a `selection`.
    init(row: PostgresRow) throws(PostgresError) {
        let idText: String = try row.decode(0)
        let stateText: String = try row.decode(1)
        let sourceText: String = try row.decode(2)
        guard let id = JobID(idText), let state = JobState(rawValue: stateText),
            let source = JobSource(rawValue: sourceText)
        else { throw .decoding("the job '\(idText)' of state '\(stateText)' from '\(sourceText)'") }
        let failureCode: String? = try row.decode(17)
        let failureMessage: String? = try row.decode(18)
        self.init(
            id: id, state: state, source: source, owner: JobOwner(try row.decode(3)),
            collection: try row.decode(4, as: String?.self).flatMap(CollectionName.init), modelName: try row.decode(5),
            dimensions: try row.decode(6), priority: try row.decode(7),
            counts: JobCounts(
                total: try row.decode(8), succeeded: try row.decode(9), failed: try row.decode(10),
                deduplicated: try row.decode(11)),
            tokenCount: try row.decode(12), createdAt: Timestamp(try row.decode(13, as: PostgresTimestamp.self)),
            startedAt: try row.decode(14, as: PostgresTimestamp?.self).map(Timestamp.init),
            endedAt: try row.decode(15, as: PostgresTimestamp?.self).map(Timestamp.init),
            dataDroppedAt: try row.decode(16, as: PostgresTimestamp?.self).map(Timestamp.init),
            failure: failureCode.map { ItemError(code: $0, message: failureMessage ?? "") })
    }
}

extension Timestamp {
    init(_ timestamp: PostgresTimestamp) {
        self.init(microsecondsSinceUnixEpoch: timestamp.microsecondsSinceUnixEpoch)
    }
}
