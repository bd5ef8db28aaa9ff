/// What one statement gave: its rows in binary format, and how many rows it changed.
package struct PostgresResult: Sendable, RandomAccessCollection {
    package struct Column: Sendable, Equatable {
        package var name: String
        package var typeOID: UInt32

        package init(name: String, typeOID: UInt32) {
            self.name = name
            self.typeOID = typeOID
        }
    }

    package let columns: [Column]
    /// Rows inserted, updated, deleted or selected; 0 for statements that count none.
    package let affectedRowCount: Int
    // Every cell's bytes one after the other, row by row, and where each begins and ends; nil is NULL.
    private let storage: [UInt8]
    private let cells: [Range<Int>?]
    private let rowCount: Int

    /// - Precondition: `cells` holds a whole number of rows, and their ranges lie within `storage`.
    package init(columns: [Column], rowCount: Int, storage: [UInt8], cells: [Range<Int>?], affectedRowCount: Int) {
        precondition(cells.count == rowCount * columns.count)
        self.columns = columns
        self.rowCount = rowCount
        self.storage = storage
        self.cells = cells
        self.affectedRowCount = affectedRowCount
    }

    package var rows: PostgresResult { self }
    package var startIndex: Int { 0 }
    package var endIndex: Int { rowCount }
    package subscript(position: Int) -> PostgresRow {
        precondition((0..<rowCount).contains(position))
        return PostgresRow(result: self, index: position)
    }

    fileprivate func cell(row: Int, column: Int) -> ArraySlice<UInt8>? {
        cells[row * columns.count + column].map { storage[$0] }
    }
}

/// One row of a result.
package struct PostgresRow: Sendable {
    fileprivate let result: PostgresResult
    fileprivate let index: Int

    package var columns: [PostgresResult.Column] { result.columns }

    /// Reads a column by its number, from 0. NULL is read only as an `Optional`.
    package func decode<T: PostgresDecodable>(_ column: Int, as: T.Type = T.self) throws(PostgresError) -> T {
        guard result.columns.indices.contains(column) else {
            throw .decoding("column \(column) of \(result.columns.count)")
        }
        guard let bytes = result.cell(row: index, column: column) else { return try T.decodeNull() }
        return try T.decode(bytes, typeOID: result.columns[column].typeOID)
    }

    /// The column's bytes as the server sent them; nil is NULL.
    package func bytes(_ column: Int) -> ArraySlice<UInt8>? {
        result.columns.indices.contains(column) ? result.cell(row: index, column: column) : nil
    }
}
