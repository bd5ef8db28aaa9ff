import Embeddings
import HTTPTypes
import HummingbirdCore
import JSON

extension Endpoints {
    func document(id: String, in name: String) async throws(APIError) -> Response {
        let (store, collection) = try await find(name)
        let id = try documentID(id)
        let document = try await stored { () async throws(StorageError) in
            try await store.document(id: id, in: collection)
        }
        guard let document else { throw APIError(RequestError.documentUnknown) }
        return .json(.ok, document.json)
    }

    func deleteDocument(id: String, in name: String) async throws(APIError) -> Response {
        let (store, collection) = try await find(name)
        let id = try documentID(id)
        let count = try await stored { () async throws(StorageError) in
            try await store.deleteDocuments(.ids([id]), in: collection)
        }
        guard count > 0 else { throw APIError(RequestError.documentUnknown) }
        return .json(.ok, ["deleted": .number(JSONNumber(count))])
    }

    func listDocuments(in name: String, _ request: Request) async throws(APIError) -> Response {
        let page: PageRequest
        do throws(RequestError) {
            page = try PageRequest(query: request.uri.query, maximum: configuration.maxResults)
        } catch { throw APIError(error) }
        let (store, collection) = try await find(name)
        var answer = PageAnswer(maximumCount: page.limit, maximumBytes: configuration.bytesPerPage)
        var after = page.after
        repeat {
            // Few at a time: a page of long texts ends early, and what is behind its end is not held for nothing.
            let limit = min(page.limit - answer.count, 64)
            let found = try await stored { () async throws(StorageError) in
                try await store.documents(after: after, limit: limit, in: collection)
            }
            answer.add(found)
            after = found.next
        } while after != nil && !answer.isFull
        return .json(.ok, bytes: answer.finished)
    }

    func deleteDocuments(in name: String, _ request: Request, _ permit: BodyPermit) async throws(APIError) -> Response {
        let (store, collection) = try await find(name)
        let selection = try await jsonBody(request, permit) { value throws(RequestError) in try self.selection(value) }
        let count = try await stored { () async throws(StorageError) in
            try await store.deleteDocuments(selection, in: collection)
        }
        return .json(.ok, ["deleted": .number(JSONNumber(count))])
    }

    private func selection(_ value: JSONValue) throws(RequestError) -> DocumentSelection {
        let fields = try Fields(value)
        try fields.refuseOthers(than: ["ids", "filter"])
        switch (try fields.array("ids"), fields["filter"]) {
        case (let elements?, nil):
            guard (1...configuration.maxDeletedIDs).contains(elements.count) else {
                throw .invalidValue(
                    field: "ids",
                    reason: "ids takes 1 to \(configuration.maxDeletedIDs) ids, not \(elements.count)")
            }
            var ids: [String] = []
            for (index, element) in elements.enumerated() {
                do throws(DocumentError) {
                    ids.append(try DocumentReader.identifier(element))
                } catch { throw .invalidValue(field: "ids[\(index)]", reason: error.reason) }
            }
            return .ids(ids)
        case (nil, let filter?):
            guard let filter = try FilterReader.read(filter, field: "filter") else {
                throw .invalidValue(
                    field: "filter",
                    reason: "an empty filter would delete every document; to do that, delete the collection")
            }
            return .filter(filter)
        case (nil, nil), (.some, .some):
            throw .invalidValue(field: nil, reason: "exactly one of ids and filter is required")
        }
    }

    private func documentID(_ id: String) throws(APIError) -> String {
        if let reason = DocumentReader.fault(inID: id) {
            throw APIError(RequestError.invalidValue(field: "id", reason: reason))
        }
        return id
    }
}

/// `{"object":"list","data":[…],"next":id or null}`, written straight into one buffer.
private struct PageAnswer {
    private let maximumCount: Int
    private let maximumBytes: Int
    private(set) var count = 0
    private var bytes = Array(#"{"object":"list","data":["#.utf8)
    private var next: String?

    init(maximumCount: Int, maximumBytes: Int) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    var isFull: Bool { count >= maximumCount || bytes.count >= maximumBytes }

    /// Takes of `page` what there is room for.
    mutating func add(_ page: DocumentPage) {
        next = page.next
        for (index, document) in page.documents.enumerated() {
            if count > 0 { bytes.append(UInt8(ascii: ",")) }
            document.json.write(to: &bytes)
            count += 1
            if isFull {
                if index + 1 < page.documents.count { next = document.id }
                return
            }
        }
    }

    var finished: [UInt8] {
        var bytes = bytes
        bytes.append(contentsOf: #"],"next":"#.utf8)
        (next.map { JSONValue.string($0) } ?? .null).write(to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}

/// `?after=ID&limit=N`.
private struct PageRequest {
    var after: String?
    var limit = 100

    init(query: String?, maximum: Int) throws(RequestError) {
        for (name, value) in try QueryItems(query).items {
            switch name {
            case "after":
                if let reason = DocumentReader.fault(inID: value) {
                    throw .invalidValue(field: "after", reason: reason)
                }
                after = value
            case "limit":
                guard let number = Int(value), (1...maximum).contains(number) else {
                    throw .invalidValue(field: "limit", reason: "limit must be an integer from 1 to \(maximum)")
                }
                limit = number
            default:
                throw .invalidValue(
                    field: String(name.prefix(100)), reason: "unknown parameter; known are after and limit")
            }
        }
    }
}

/// A query string's names and values, decoded.
struct QueryItems {
    private(set) var items: [(name: String, value: String)] = []

    init(_ query: String?) throws(RequestError) {
        for part in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let halves = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(halves[0], plus: .space),
                let value = PercentCoding.decode(halves.count > 1 ? halves[1] : "".utf8[...], plus: .space)
            else {
                throw .invalidValue(field: nil, reason: "the query holds a broken percent-escape")
            }
            items.append((name, value))
        }
    }
}

extension StoredDocument {
    fileprivate var json: JSONValue {
        [
            "id": .string(id), "text": .string(text), "metadata": .object(metadata),
            "token_count": .number(JSONNumber(tokenCount)), "truncated": .bool(isTruncated),
        ]
    }
}
