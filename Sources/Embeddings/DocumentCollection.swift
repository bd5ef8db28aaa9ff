/// A named set of documents whose vectors one model made.
package struct DocumentCollection: Sendable, Equatable {
    /// The store's own key; a collection dropped and made anew under the same name has another.
    package let id: Int64
    package let name: CollectionName
    package let modelName: String
    package let fingerprint: ModelFingerprint
    package let dimensions: Int
    package let metric: Metric

    package init(
        id: Int64, name: CollectionName, modelName: String, fingerprint: ModelFingerprint, dimensions: Int,
        metric: Metric
    ) {
        self.id = id
        self.name = name
        self.modelName = modelName
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self.metric = metric
    }
}

/// How two vectors are compared.
package enum Metric: String, Sendable, CaseIterable {
    case cosine
}

/// 1 to 63 of `a-z 0-9 _ -`.
package struct CollectionName: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init?(_ text: String) {
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, (1...63).contains(text.utf8.count) else { return nil }
        description = text
    }
}

/// What a caller wants a collection to be.
package struct CollectionSpecification: Sendable, Equatable {
    package let name: CollectionName
    package let modelName: String
    package let fingerprint: ModelFingerprint
    package let dimensions: Int
    package let metric: Metric

    package init(name: CollectionName, model: ModelDescription, metric: Metric = .cosine) {
        self.name = name
        modelName = model.name
        fingerprint = model.fingerprint
        dimensions = model.dimensions
        self.metric = metric
    }
}

package enum CollectionCreation: Sendable, Equatable {
    case created(DocumentCollection)
    /// It was there already, and the same.
    case existing(DocumentCollection)
    /// It was there already, and differs in model or metric.
    case different(DocumentCollection)
}
