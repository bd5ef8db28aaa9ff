import CLibPQ

enum LibPQ {
    static func parseConnectionString(_ text: String) throws(PostgresError) -> [String: String] { [:] }
}
