import Embeddings
import Postgres

extension StorageError {
    /// - Parameter collection: the collection whose tables the statement named, if any.
    init(_ error: PostgresError, collection: CollectionName? = nil) {
        let details = error.debugDescription
        switch error {
        case .unavailable, .cancelled: self = .unavailable(details: details)
        case .decoding, .configuration: self = .internalFailure(details: details)
        case .server(let refusal):
            switch refusal.code {
            // undefined_table: the collection's tables went with it, or there are no tables yet.
            case "42P01":
                self = collection.map(StorageError.collectionNotFound) ?? .unavailable(details: details)
            // invalid_schema_name, undefined_object, undefined_function: the schema or pgvector is not there, as between
            // a server's return and the end of its migration.
            case "3F000", "42704", "42883": self = .unavailable(details: details)
            // read_only_sql_transaction, disk_full, insufficient_privilege
            case "25006", "53100", "42501": self = .notWritable(details: details)
            // query_canceled (by a timeout), lock_not_available, serialization_failure, deadlock_detected, and the rest
            // of class 53, insufficient resources
            case "57014", "55P03", "40001", "40P01": self = .unavailable(details: details)
            // The same, to a server that was used before: its roles or databases changed, and may change back.
            case "3D000": self = .unavailable(details: details)
            case let code where code.hasPrefix("53") || code.hasPrefix("28"): self = .unavailable(details: details)
            default: self = .internalFailure(details: details)
            }
        }
    }
}
