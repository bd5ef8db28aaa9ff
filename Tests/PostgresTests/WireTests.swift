import Postgres
import Testing

/// Bytes as a live server sends them (`COPY … TO … (FORMAT binary)`), so that both directions are held to them.
struct WireTests {
    @Test func scalarsAreBigEndian() {
        #expect(true.postgresParameter == PostgresParameter(typeOID: 16, bytes: [1]))
        #expect(Int16(-2).postgresParameter == PostgresParameter(typeOID: 21, bytes: [0xff, 0xfe]))
        #expect(Int32(258).postgresParameter == PostgresParameter(typeOID: 23, bytes: [0, 0, 1, 2]))
        #expect(Int(1).postgresParameter == PostgresParameter(typeOID: 20, bytes: [0, 0, 0, 0, 0, 0, 0, 1]))
        #expect(Float(-2.5).postgresParameter == PostgresParameter(typeOID: 700, bytes: [0xc0, 0x20, 0, 0]))
        #expect((1.0).postgresParameter == PostgresParameter(typeOID: 701, bytes: [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]))
    }

    @Test func textsAndBytesTravelAsTheyAre() {
        #expect("né".postgresParameter == PostgresParameter(typeOID: 25, bytes: [0x6e, 0xc3, 0xa9]))
        #expect([UInt8]([0, 255]).postgresParameter == PostgresParameter(typeOID: 17, bytes: [0, 255]))
        #expect(JSONBText("{}").postgresParameter == PostgresParameter(typeOID: 3802, bytes: [1, 0x7b, 0x7d]))
        #expect(String?.none.postgresParameter == PostgresParameter(typeOID: 25, bytes: nil))
    }

    @Test func anArrayCarriesItsElementTypeAndLengths() {
        let expected: [UInt8] = [
            0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 1,
            0, 0, 0, 1, 0x61, 0xff, 0xff, 0xff, 0xff,
        ]
        let values: [String?] = ["a", nil]
        #expect(values.postgresParameter == PostgresParameter(typeOID: 1009, bytes: expected))
        let empty: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]
        #expect([Int64]().postgresParameter == PostgresParameter(typeOID: 1016, bytes: empty))
    }

    @Test func anArrayOfAnExtensionTypeNamesTheGivenElementType() throws {
        let array = PostgresArray(elementOID: 16_498, elements: [[0, 1, 0, 0, 0x3c, 0]])
        let bytes = try #require(array.postgresParameter.bytes)
        #expect(
            bytes == [
                0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x40, 0x72, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 6, 0, 1, 0, 0, 0x3c, 0,
            ])
        let decoded = try PostgresArray(bytes: bytes[...])
        #expect(decoded.elements == array.elements)
        #expect(decoded.elementOID == 16_498)
    }

    @Test func integersAreReadFromAnyWidthThatFits() throws {
        #expect(try Int.decode([0, 7], typeOID: 21) == 7)
        #expect(try Int32.decode([0, 0, 0, 0, 0, 0, 0, 9], typeOID: 20) == 9)
        #expect(throws: PostgresError.self) { try Int16.decode([0, 1, 0, 0], typeOID: 23) }
        #expect(throws: PostgresError.self) { try Int.decode([0x61], typeOID: 25) }
    }

    @Test(arguments: [
        [UInt8](), [0, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0x61],
        [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
    ])
    func aBrokenArrayThrows(bytes: [UInt8]) {
        #expect(throws: PostgresError.self) { try [String].decode(bytes[...], typeOID: 1009) }
    }

    @Test func nullIsReadOnlyAsAnOptional() throws {
        let result = PostgresResult(
            columns: [.init(name: "a", typeOID: 25), .init(name: "b", typeOID: 20)], rowCount: 1,
            storage: [0x61], cells: [0..<1, nil], affectedRowCount: 1)
        let row = try #require(result.first)
        #expect(try row.decode(0, as: String.self) == "a")
        #expect(try row.decode(0, as: String?.self) == "a")
        #expect(try row.decode(1, as: Int?.self) == nil)
        #expect(throws: PostgresError.self) { try row.decode(1, as: Int.self) }
        #expect(throws: PostgresError.self) { try row.decode(2, as: Int.self) }
    }
}
