import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func search(in name: String, _ call: Call) async throws(APIError) -> Response {
        let deadline = try call.deadline(within: configuration.maxRequestTimeout)
        let body = try await jsonBody(call.request, call.permit) { value throws(RequestError) in
            try SearchBody(value, maxResults: configuration.maxResults)
        }
        let (store, collection) = try await find(name)
        let vector = try await vector(of: body.target, in: collection, client: call.client, deadline: deadline)
        let search = SearchRequest(
            vector: vector, limit: body.limit, filter: body.filter, includesVectors: body.includesVectors)
        try deadline.check()
        let hits = try await stored { () async throws(StorageError) in
            try await store.search(search, in: collection)
        }
        return .json(.ok, bytes: SearchAnswer(hits: hits).bytes)
    }

    private func vector(
        of target: SearchBody.Target, in collection: DocumentCollection, client: ClientID,
        deadline: ContinuousClock.Instant?
    ) async throws(APIError) -> EmbeddingVector {
        switch target {
        case .text(let text):
            try requireServedModel(of: collection)
            let results = try await embed(
                EmbeddingRequest(
                    inputs: [.text(text)], role: .query, lane: .interactive, client: client, deadline: deadline))
            switch results.first {
            case .success(let embedding): return embedding.vector
            case .failure(let error): throw APIError(error)
            case nil: throw APIError(EmbeddingError.cancelled)
            }
        case .vector(let vector):
            guard vector.dimensions == collection.dimensions else {
                throw APIError(
                    RequestError.invalidValue(
                        field: "vector",
                        reason: "vector has \(vector.dimensions) values; the collection '\(collection.name)' has "
                            + "\(collection.dimensions) dimensions"))
            }
            return vector
        }
    }
}

/// The body of a search, checked.
struct SearchBody {
    enum Target {
        case text(String)
        case vector(EmbeddingVector)
    }

    let target: Target
    let limit: Int
    let filter: MetadataFilter?
    let includesVectors: Bool

    init(_ value: JSONValue, maxResults: Int) throws(RequestError) {
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["query", "vector", "k", "filter", "include"])
        switch (try fields.string("query"), try fields.array("vector")) {
        case (let query?, nil):
            guard !query.isEmpty else { throw .invalidValue(field: "query", reason: "query is an empty string") }
            target = .text(query)
        case (nil, let elements?): target = .vector(try Self.vector(elements))
        case (nil, nil), (.some, .some):
            throw .invalidValue(field: "query", reason: "exactly one of query and vector is required")
        }
        limit = try fields.integer("k", in: 1...maxResults) ?? min(10, maxResults)
        filter = try fields["filter"].flatMap { value throws(RequestError) in
            try FilterReader.read(value, field: "filter")
        }
        var includesVectors = false
        for element in try fields.array("include") ?? [] {
            guard element.string == "vector" else {
                throw .invalidValue(field: "include", reason: "include knows only \"vector\"")
            }
            includesVectors = true
        }
        self.includesVectors = includesVectors
    }

    private static func vector(_ elements: [JSONValue]) throws(RequestError) -> EmbeddingVector {
        var values: [Float] = []
        values.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            guard case .number(let number) = element, Float(number.value).isFinite else {
                throw .invalidValue(
                    field: "vector[\(index)]", reason: "vector must hold numbers within a 32-bit float's range only")
            }
            values.append(Float(number.value))
        }
        guard values.contains(where: { $0 != 0 }) else {
            throw .invalidValue(field: "vector", reason: "vector must hold a value other than zero")
        }
        // As it came: brought to unit length here, a value on the edge between two halves would be rounded the other way.
        return EmbeddingVector(values)
    }
}

/// `{"results":[…]}`, written straight into one buffer.
struct SearchAnswer {
    let hits: [SearchHit]

    var bytes: [UInt8] {
        var bytes = Array(#"{"results":["#.utf8)
        for (index, hit) in hits.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: #"{"id":"#.utf8)
            hit.id.writeJSON(to: &bytes)
            bytes.append(contentsOf: #","score":\#(hit.score),"text":"#.utf8)
            hit.text.writeJSON(to: &bytes)
            bytes.append(contentsOf: #","metadata":"#.utf8)
            JSONValue.object(hit.metadata).write(to: &bytes)
            if let vector = hit.vector {
                bytes.append(contentsOf: #","vector":"#.utf8)
                vector.writeJSON(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(contentsOf: "]}".utf8)
        return bytes
    }
}
