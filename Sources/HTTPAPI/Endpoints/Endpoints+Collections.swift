import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON
import Logging

extension Endpoints {
    func collections() async throws(APIError) -> Response {
        let store = try requireStore()
        let collections = try await stored { () async throws(StorageError) in try await store.collections() }
        // Without their numbers of documents: each would be a count over a whole table.
        return .json(.ok, ["object": "list", "data": .array(collections.map { .object(summary($0)) })])
    }

    func createCollection(_ name: String, _ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let store = try requireStore()
        let name = try collectionName(name)
        let metric =
            try await optionalJSONBody(request, permit) { value throws(RequestError) in
                let fields = try Fields(value)
                try fields.refuseOthers(than: ["model", "metric"])
                try fields.checkModel(servedBy: embedder.model)
                return try fields.choice("metric", ["cosine": Metric.cosine]) ?? .cosine
            } ?? .cosine
        let specification = CollectionSpecification(name: name, model: embedder.model, metric: metric)
        let creation = try await stored { () async throws(StorageError) in
            try await store.createCollection(specification)
        }
        switch creation {
        case .created(let collection): return .json(.created, try await describe(collection, in: store))
        case .existing(let collection): return .json(.ok, try await describe(collection, in: store))
        case .different(let existing):
            throw APIError(RequestError.collectionDiffers(existing, wanted: specification))
        }
    }

    func collection(_ name: String) async throws(APIError) -> Response {
        let (store, collection) = try await find(name)
        return .json(.ok, try await describe(collection, in: store))
    }

    func dropCollection(_ name: String) async throws(APIError) -> Response {
        let store = try requireStore()
        let name = try collectionName(name)
        let existed = try await stored { () async throws(StorageError) in
            try await store.dropCollection(named: name)
        }
        guard existed else { throw APIError(RequestError.collectionUnknown(name)) }
        return .json(.ok, ["deleted": true])
    }

    private func describe(
        _ collection: DocumentCollection, in store: any DocumentStore
    ) async throws(APIError) -> JSONValue {
        let count = try await stored { () async throws(StorageError) in
            try await store.documentCount(in: collection)
        }
        var object = summary(collection)
        object["documents"] = .number(JSONNumber(count))
        return .object(object)
    }

    private func summary(_ collection: DocumentCollection) -> JSONObject {
        var object = JSONObject()
        object["name"] = .string(collection.name.description)
        object["model"] = .string(collection.modelName)
        object["dimensions"] = .number(JSONNumber(collection.dimensions))
        object["metric"] = .string(collection.metric.rawValue)
        return object
    }

    /// The collection of this name, and the store that holds it.
    func find(_ name: String) async throws(APIError) -> (store: any DocumentStore, collection: DocumentCollection) {
        let store = try requireStore()
        let name = try collectionName(name)
        let collection = try await stored { () async throws(StorageError) in
            try await store.collection(named: name)
        }
        guard let collection else { throw APIError(RequestError.collectionUnknown(name)) }
        return (store, collection)
    }

    /// Refuses a collection whose vectors another model made.
    func requireServedModel(of collection: DocumentCollection) throws(APIError) {
        guard collection.fingerprint == embedder.model.fingerprint else {
            throw APIError(RequestError.modelDiffers(collection, served: embedder.model))
        }
    }

    func requireStore() throws(APIError) -> any DocumentStore {
        guard let store else { throw APIError(RequestError.databaseNotConfigured) }
        return store
    }

    private func collectionName(_ name: String) throws(APIError) -> CollectionName {
        guard let name = CollectionName(name) else {
            throw APIError(
                RequestError.invalidValue(
                    field: "name", reason: "a collection's name has 1 to 63 characters of a-z, 0-9, '_' and '-'"))
        }
        return name
    }

    /// Runs a call to the store; a failure's details go to the log, the rest to the client.
    func stored<Result>(
        _ operation: () async throws(StorageError) -> Result
    ) async throws(APIError) -> Result {
        do throws(StorageError) {
            return try await operation()
        } catch {
            log(error)
            throw APIError(error)
        }
    }

    func log(_ error: StorageError) {
        guard let details = error.details else { return }
        Logger.current.warning("The store failed", metadata: ["error": "\(error)", "details": "\(details)"])
    }
}
