import Postgres
import Testing

struct StatementTests {
    @Test func interpolatedValuesAreBound() {
        let hostile = "'; DROP TABLE t; --"
        let statement: PostgresStatement = "SELECT * FROM t WHERE a = \(hostile) AND b = \(7)"
        #expect(statement.sql == "SELECT * FROM t WHERE a = $1 AND b = $2")
        #expect(statement.parameters == [hostile.postgresParameter, 7.postgresParameter])
    }

    @Test func splicedStatementsAreRenumbered() {
        let condition: PostgresStatement = "b = \("x") OR c = \(2)"
        let statement: PostgresStatement = "SELECT \(1) WHERE (\(sql: condition)) AND d = \(true)"
        #expect(statement.sql == "SELECT $1 WHERE (b = $2 OR c = $3) AND d = $4")
        #expect(statement.parameters.count == 4)
        #expect(statement.parameters[2] == 2.postgresParameter)
    }

    @Test func joinedStatementsKeepTheirOrder() {
        let joined = PostgresStatement.joined(["a = \(1)", "b = \(2)"], separator: " AND ")
        #expect(joined.sql == "a = $1 AND b = $2")
        #expect((joined + " OR c = \(3)").sql == "a = $1 AND b = $2 OR c = $3")
    }

    @Test func identifiersAreQuoted() {
        let statement: PostgresStatement = "SELECT 1 FROM \(identifier: #"a"; DROP"#)::halfvec(\(literal: 384))"
        #expect(statement.sql == #"SELECT 1 FROM "a""; DROP"::halfvec(384)"#)
    }
}

struct ConfigurationTests {
    @Test func descriptionsHoldNoValue() throws {
        let configuration = try PostgresConfiguration(url: "postgresql://user:s3cret@db.example/name")
        for text in ["\(configuration)", String(reflecting: configuration), dumped(configuration)] {
            #expect(!text.contains("s3cret"))
        }
    }

    @Test(arguments: [
        "postgresql://u:s3cret%zz@h/d", "host=h password='s3cret", "postgresql://u:s3cret@[::1/d",
        "postgresql://u:a\"s3cret@[::1/d",
    ])
    func aBrokenURLIsRefusedWithoutItsPassword(url: String) throws {
        let error = try #require(throws: PostgresError.self) { try PostgresConfiguration(url: url) }
        #expect(!error.debugDescription.contains("s3cret"))
    }

    @Test func anUnknownOptionIsNamed() throws {
        let error = try #require(throws: PostgresError.self) {
            try PostgresConfiguration(url: "postgresql://h/d?sslmod=require")
        }
        #expect(error.description.contains("sslmod"))
    }

    private func dumped(_ value: some Any) -> String {
        var text = ""
        dump(value, to: &text)
        return text
    }
}
