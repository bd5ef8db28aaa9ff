import HTTPAPI
import HTTPTypes
import JSON
import Testing

struct FilesRouteTests {
    @Test func aFileComesBackByteForByte() async throws {
        let api = BatchAPI { $0.bytesPerFileChunk = 7 }
        let content = "{\"a\":1}\r\n--xy\r\n\u{0}€\n"
        let answer = try await api.upload(content)
        #expect(answer.status == 200)
        #expect(answer.object["object"] == "file" && answer.object["purpose"] == "batch")
        #expect(answer.object["filename"] == "in.jsonl" && answer.object["status"] == "processed")
        #expect(answer.count("bytes") == content.utf8.count)
        let created = try #require(answer.count("created_at"))
        #expect(answer.count("expires_at") == created + 30 * 86_400)

        let id = try #require(answer.object["id"]?.string)
        #expect(try await api.send(.get, "/v1/files/\(id)").json == answer.json)
        #expect(try await api.send(.get, "/v1/files/\(id)/content").text == content)

        let deletion = try await api.send(.delete, "/v1/files/\(id)")
        #expect(deletion.json == ["id": .string(id), "object": "file", "deleted": true])
        for path in ["/v1/files/\(id)", "/v1/files/\(id)/content"] {
            let gone = try await api.send(.get, path)
            #expect(gone.status == 404 && gone.code == "file_not_found")
        }
        #expect(try await api.send(.delete, "/v1/files/\(id)").status == 404)
        #expect(try await api.send(.get, "/v1/files/no-id").status == 404)
    }

    @Test(arguments: [
        ([("purpose", "fine-tune")], "purpose"), ([], "purpose"), ([("purpose", "batch"), ("other", "x")], "other"),
        ([("purpose", "batch"), ("purpose", "batch")], "purpose"),
        ([("purpose", "batch"), ("expires_after[anchor]", "created_at")], "expires_after[seconds]"),
        ([("purpose", "batch"), ("expires_after[seconds]", "3600")], "expires_after[anchor]"),
        (
            [("purpose", "batch"), ("expires_after[anchor]", "now"), ("expires_after[seconds]", "3600")],
            "expires_after[anchor]"
        ),
        (
            [("purpose", "batch"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3599")],
            "expires_after[seconds]"
        ),
        ([("purpose", String(repeating: "x", count: 2_000))], "purpose"),
    ])
    func aRefusedFieldIsNamedAndLeavesNoFile(fields: [(String, String)], field: String) async throws {
        let api = BatchAPI()
        let answer = try await api.upload("{}", fields: fields)
        #expect(answer.status == 400 && answer.field == field, "\(answer.text)")
        #expect(try await api.send(.get, "/v1/files").object["data"] == [])
    }

    @Test func aFileOverTheLimitIsRefusedWithIt() async throws {
        let api = BatchAPI { $0.maxFileBytes = 1_000 }
        #expect(try await api.upload(String(repeating: "x", count: 1_000)).status == 200)
        let answer = try await api.upload(String(repeating: "x", count: 1_001))
        #expect(answer.status == 413 && answer.code == "file_too_large" && answer.field == "file")
        #expect(answer.message.contains("1000") && answer.message.contains("--max-file-bytes"))
        #expect(try await api.send(.get, "/v1/files").object["data"]?.array?.count == 1)
        let empty = try await api.upload("")
        #expect(empty.status == 400 && empty.field == "file")
    }

    @Test func whatIsNoFormIsRefused() async throws {
        let api = BatchAPI()
        #expect(try await api.send(.post, "/v1/files", "{}").status == 415)
        let noBoundary = try await api.send(.post, "/v1/files", "x", type: "multipart/form-data")
        #expect(noBoundary.status == 400 && noBoundary.message.contains("boundary"))
        let cut = try await api.send(
            .post, "/v1/files", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc",
            type: "multipart/form-data; boundary=b")
        #expect(cut.status == 400 && cut.code == "invalid_multipart")
        #expect(try await api.send(.get, "/v1/files").object["data"] == [])
    }

    @Test func aFileExpiresWhenItsSenderSaid() async throws {
        let api = BatchAPI()
        let answer = try await api.upload(
            "{}",
            fields: [
                ("purpose", "batch"), ("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600"),
            ])
        let id = try #require(answer.object["id"]?.string)
        api.clock.advance(by: 3_599)
        #expect(try await api.send(.get, "/v1/files/\(id)").status == 200)
        api.clock.advance(by: 1)
        #expect(try await api.send(.get, "/v1/files/\(id)").status == 404)
    }

    @Test func listsArePaged() async throws {
        let api = BatchAPI()
        var ids: [String] = []
        for _ in 0..<5 { ids.append(try #require(try await api.upload("{}").object["id"]?.string)) }
        func list(_ query: String) async throws -> ([String], JSONValue?) {
            let answer = try await api.send(.get, "/v1/files?\(query)")
            let found = (answer.object["data"]?.array ?? []).compactMap { $0.object?["id"]?.string }
            #expect(answer.object["last_id"] == (found.last.map { .string($0) } ?? .null))
            return (found, answer.object["has_more"])
        }
        #expect(try await list("") == (ids.reversed(), false))
        #expect(try await list("order=asc&limit=2") == (Array(ids[..<2]), true))
        #expect(try await list("order=asc&limit=3&after=\(ids[1])") == (Array(ids[2...]), false))
        #expect(try await list("limit=2&after=\(ids[1])") == ([ids[0]], false))
        #expect(try await list("purpose=batch_output") == ([], false))
        #expect(try await list("purpose=vision") == ([], false))
        for query in ["limit=0", "limit=10001", "order=up", "after=file-x", "other=1"] {
            let status = try await api.send(.get, "/v1/files?\(query)").status
            #expect(status == 400 || status == 404, "\(query)")
        }
    }

    @Test func withoutADatabaseNothingIsKept() async throws {
        let api = API()
        for path in ["/v1/files", "/v1/batches", "/v1/files/x/content"] {
            let answer = try await api.send(.get, path)
            #expect(answer.status == 501 && answer.code == "database_not_configured")
        }
    }
}
