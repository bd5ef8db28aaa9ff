/// Why a model's tokenizer cannot be used; every case names the file, and the component in it.
package enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// The file is missing, cannot be read or is not JSON.
    case unreadable(file: String, reason: String)
    /// The component is missing or is not what it should be.
    case malformed(file: String, component: String, reason: String)
    /// The component is one that Hugging Face `tokenizers` knows and Ovenbird does not.
    case unsupported(file: String, component: String)

    package var description: String {
        switch self {
        case .unreadable(let file, let reason): "\(file) cannot be read: \(reason)"
        case .malformed(let file, let component, let reason): "\(file): \(component) \(reason)"
        case .unsupported(let file, let component): "\(file): \(component) is not supported"
        }
    }
}

/// An id that is not of the model's vocabulary, in a text that came as token ids.
package struct UnknownTokenID: Error, Equatable, CustomStringConvertible {
    package let id: Int32
    package let vocabularySize: Int

    package init(id: Int32, vocabularySize: Int) {
        self.id = id
        self.vocabularySize = vocabularySize
    }

    package var description: String {
        "the token id \(id) is not of the model's vocabulary; its ids go from 0 to \(vocabularySize - 1)"
    }
}
