/// SQL with its parameters. Interpolated values are always bound, never spliced:
/// `"SELECT text FROM \(identifier: table) WHERE id = \(id)"` becomes `SELECT text FROM "documents" WHERE id = $1`.
package struct PostgresStatement: Sendable, ExpressibleByStringInterpolation {
    fileprivate enum Piece: Sendable {
        case text(String)
        case parameter(PostgresParameter)
    }

    fileprivate var pieces: [Piece]

    fileprivate init(pieces: [Piece]) {
        self.pieces = pieces
    }

    package init(stringLiteral value: String) {
        pieces = [.text(value)]
    }

    package init(stringInterpolation: StringInterpolation) {
        pieces = stringInterpolation.pieces
    }

    /// SQL text made at run time. The caller vouches that no part of it came from outside.
    package init(unsafeSQL: String) {
        pieces = [.text(unsafeSQL)]
    }

    /// The text that the server sees, its parameters numbered from `$1` in the order in which they appear.
    package var sql: String {
        var result = ""
        var parameterCount = 0
        for piece in pieces {
            switch piece {
            case .text(let text): result += text
            case .parameter:
                parameterCount += 1
                result += "$\(parameterCount)"
            }
        }
        return result
    }

    /// The values of `$1`, `$2` and so on.
    package var parameters: [PostgresParameter] {
        pieces.compactMap { piece in
            guard case .parameter(let parameter) = piece else { return nil }
            return parameter
        }
    }

    /// One statement after the other, with the separator between them; parameters are renumbered.
    package static func joined(_ statements: [PostgresStatement], separator: String) -> PostgresStatement {
        var pieces: [Piece] = []
        for (index, statement) in statements.enumerated() {
            if index > 0 { pieces.append(.text(separator)) }
            pieces += statement.pieces
        }
        return PostgresStatement(pieces: pieces)
    }

    package static func + (left: PostgresStatement, right: PostgresStatement) -> PostgresStatement {
        PostgresStatement(pieces: left.pieces + right.pieces)
    }
}

extension PostgresStatement {
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var pieces: [Piece] = []

        package init(literalCapacity: Int, interpolationCount: Int) {
            pieces.reserveCapacity(interpolationCount * 2 + 1)
        }

        package mutating func appendLiteral(_ literal: String) {
            guard !literal.isEmpty else { return }
            pieces.append(.text(literal))
        }

        /// Binds a value.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            pieces.append(.parameter(value.postgresParameter))
        }

        /// Binds a value, or NULL.
        package mutating func appendInterpolation<Value: PostgresElement>(_ value: Value?) {
            pieces.append(.parameter(value.postgresParameter))
        }

        /// A name, quoted.
        ///
        /// - Precondition: it is not empty and holds no NUL.
        package mutating func appendInterpolation(identifier name: String) {
            pieces.append(.text(PostgresStatement.quotedIdentifier(name)))
        }

        /// A number where SQL takes no parameter, such as the size in `halfvec(384)`.
        package mutating func appendInterpolation(literal number: Int) {
            pieces.append(.text(String(number)))
        }

        /// Another statement in this place; its parameters are renumbered.
        package mutating func appendInterpolation(sql statement: PostgresStatement) {
            pieces += statement.pieces
        }
    }

    /// `name` in double quotes, those inside it doubled.
    ///
    /// - Precondition: it is not empty and holds no NUL.
    package static func quotedIdentifier(_ name: String) -> String {
        precondition(!name.isEmpty && !name.utf8.contains(0), "an identifier is not empty and holds no NUL")
        return "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
}
