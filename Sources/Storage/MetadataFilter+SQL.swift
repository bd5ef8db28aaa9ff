import Embeddings
import Postgres

extension MetadataFilter {
    /// A condition on the column `d.metadata`, true or false and never NULL, so that `not` turns every answer around.
    /// Field names and values are bound, never part of the text.
    var sql: PostgresStatement {
        switch self {
        case .equals(let path, let scalar): "(\(sql: path.sql) = \(scalar.jsonb)) IS TRUE"
        case .differs(let path, let scalar):
            """
            (jsonb_typeof(\(sql: path.sql)) = jsonb_typeof(\(scalar.jsonb)) AND \(sql: path.sql) <> \(scalar.jsonb)) IS TRUE
            """
        case .anyOf(let path, let scalars): "(\(sql: path.sql) = ANY (\(scalars.map(\.jsonb)))) IS TRUE"
        case .compares(let path, let comparison, .number(let number)):
            // jsonb holds numbers as numeric and compares them so.
            """
            (jsonb_typeof(\(sql: path.sql)) = 'number' \
            AND \(sql: path.sql) \(sql: comparison.operator) \(MetadataScalar.number(number).jsonb)) IS TRUE
            """
        case .compares(let path, let comparison, .string(let text)):
            // Not by jsonb's own operators: those order strings by the collation of the database.
            """
            (jsonb_typeof(\(sql: path.sql)) = 'string' \
            AND (\(sql: path.sql) #>> '{}') COLLATE "C" \(sql: comparison.operator) \(text)) IS TRUE
            """
        case .compares(_, _, .bool), .compares(_, _, .null): "false"
        case .exists(let path, true): "(\(sql: path.sql)) IS NOT NULL"
        case .exists(let path, false): "(\(sql: path.sql)) IS NULL"
        case .and(let filters): Self.joined(filters, by: " AND ", empty: "true")
        case .or(let filters): Self.joined(filters, by: " OR ", empty: "false")
        case .not(let filter): "(NOT \(sql: filter.sql))"
        }
    }

    private static func joined(
        _ filters: [MetadataFilter], by separator: String, empty: PostgresStatement
    ) -> PostgresStatement {
        filters.isEmpty ? empty : "(\(sql: .joined(filters.map(\.sql), separator: separator)))"
    }
}

extension MetadataFilter.Comparison {
    fileprivate var `operator`: PostgresStatement {
        switch self {
        case .greater: ">"
        case .greaterOrEqual: ">="
        case .less: "<"
        case .lessOrEqual: "<="
        }
    }
}

extension FieldPath {
    /// `->` with a text steps into objects alone, where `#>` would take "0" for an array's first element.
    fileprivate var sql: PostgresStatement {
        "d.metadata\(sql: .joined(components.map { " -> \($0)" }, separator: ""))"
    }
}
