package import Embeddings
import Postgres

extension PostgresDocumentStore {
    package func createCollection(
        _ specification: CollectionSpecification
    ) async throws(StorageError) -> CollectionCreation {
        do throws(PostgresError) {
            let rows = try await pool.query(
                """
                SELECT (collection).id, (collection).name, (collection).model_name, (collection).fingerprint,
                    (collection).dimensions, (collection).metric, created
                FROM ovenbird.create_collection(
                    \(specification.name.description), \(specification.modelName), \(specification.fingerprint.bytes),
                    \(Int32(clamping: specification.dimensions)), \(specification.metric.rawValue))
                """)
            guard let row = rows.first else { throw .decoding("no answer from create_collection") }
            let collection = try DocumentCollection(row: row)
            if try row.decode(6, as: Bool.self) { return .created(collection) }
            return collection.isWhat(specification) ? .existing(collection) : .different(collection)
        } catch {
            throw StorageError(error)
        }
    }

    package func collection(named name: CollectionName) async throws(StorageError) -> DocumentCollection? {
        try await collections(where: "WHERE name = \(name.description)").first
    }

    package func collections() async throws(StorageError) -> [DocumentCollection] {
        try await collections(where: "ORDER BY name")
    }

    private func collections(where clause: PostgresStatement) async throws(StorageError) -> [DocumentCollection] {
        do throws(PostgresError) {
            let rows = try await pool.read(
                """
                SELECT id, name, model_name, fingerprint, dimensions, metric FROM ovenbird.collection_details
                \(sql: clause)
                """)
            var collections: [DocumentCollection] = []
            for row in rows { collections.append(try DocumentCollection(row: row)) }
            return collections
        } catch {
            throw StorageError(error)
        }
    }

    package func dropCollection(named name: CollectionName) async throws(StorageError) -> Bool {
        do throws(PostgresError) {
            let results = try await pool.transaction([
                // Everyone who comes after us waits behind us, so we do not wait long for those before us.
                "SET LOCAL lock_timeout = '2s'",
                "SELECT ovenbird.drop_collection(\(name.description))",
            ])
            guard let row = results.last?.first else { throw .decoding("no answer from drop_collection") }
            return try row.decode(0)
        } catch {
            throw StorageError(error)
        }
    }
}

extension DocumentCollection {
    /// Whether this is the collection that was asked for. A model served under another name is the same model.
    func isWhat(_ specification: CollectionSpecification) -> Bool {
        fingerprint == specification.fingerprint && metric == specification.metric
    }

    /// Reads id, name, model name, fingerprint, dimensions and metric.
    fileprivate init(row: PostgresRow) throws(PostgresError) {
        let nameText: String = try row.decode(1)
        let fingerprint: [UInt8] = try row.decode(3)
        let metricText: String = try row.decode(5)
        guard let name = CollectionName(nameText), let metric = Metric(rawValue: metricText), fingerprint.count == 32
        else { throw .decoding("the collection '\(nameText)' of metric '\(metricText)'") }
        self.init(
            id: try row.decode(0), name: name, modelName: try row.decode(2),
            fingerprint: ModelFingerprint(bytes: fingerprint), dimensions: try row.decode(4), metric: metric)
    }
}
