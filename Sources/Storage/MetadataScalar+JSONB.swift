import Embeddings
import JSON
import Postgres

extension MetadataScalar {
    /// The scalar as it is bound.
    var jsonb: JSONBText { JSONBText(json.serialized) }
}

extension JSONObject {
    /// The object as it is bound.
    var jsonb: JSONBText { JSONBText(JSONValue.object(storable).serialized) }

    /// The object that a `jsonb` column holds.
    init(stored jsonb: JSONBText) throws(PostgresError) {
        guard let value = try? JSONValue(parsing: jsonb.text, maximumDepth: 1_000), let object = value.object else {
            // Whatever the parser found wrong, the column does not hold what every writer puts there.
            throw .decoding("metadata that is no JSON object")
        }
        self = object
    }
}
