import HTTPAPI
import NIOCore
import Testing

struct MultipartParserTests {
    /// A parsed part: its head and all of its bytes.
    struct Part: Equatable {
        var head: PartHead
        var bytes: [UInt8] = []
        var isEnded = false
    }

    /// Feeds the body cut at the places given.
    private func parse(
        _ body: [UInt8], boundary: String = "b", cuts: [Int] = []
    ) throws(MultipartParser.Failure) -> [Part] {
        var parser = MultipartParser(boundary: boundary)
        var parts: [Part] = []
        var start = 0
        for end in cuts.sorted() + [body.count] {
            parser.feed(ByteBuffer(bytes: body[start..<end]))
            start = end
            while let event = try parser.next() {
                switch event {
                case .partBegan(let head): parts.append(Part(head: head))
                case .content(let content): parts[parts.count - 1].bytes += content.readableBytesView
                case .partEnded: parts[parts.count - 1].isEnded = true
                }
            }
        }
        try parser.finish()
        return parts
    }

    private func parse(_ body: String, boundary: String = "b") throws(MultipartParser.Failure) -> [Part] {
        try parse(Array(body.utf8), boundary: boundary)
    }

    private func part(_ name: String, _ text: String, file: String? = nil) -> Part {
        Part(head: PartHead(name: name, fileName: file), bytes: Array(text.utf8), isEnded: true)
    }

    private static let disposition = "Content-Disposition: form-data; name=\"f\""

    @Test func partsAreToldInOrder() throws {
        let body = """
            --b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r
            content-disposition:form-data;name=file;filename="a b.jsonl"\r\nContent-Type: text/plain\r\n\r\n{}\r\n--b--\r\n
            """
        #expect(try parse(body) == [part("purpose", "batch"), part("file", "{}", file: "a b.jsonl")])
    }

    @Test(arguments: [
        ("preamble and epilogue", "hello\r\n--no\r\n--b\r\n\(disposition)\r\n\r\nx\r\n--b--\r\nbye\r\n--b\r\n", "x"),
        ("white space behind a boundary", "--b \t \r\n\(disposition)\r\n\r\nx\r\n--b--", "x"),
        ("no content", "--b\r\n\(disposition)\r\n\r\n\r\n--b--", ""),
        ("no content, and no line for it", "--b\r\n\(disposition)\r\n\r\n--b--", ""),
        ("line ends at both ends", "--b\r\n\(disposition)\r\n\r\n\r\nx\r\n\r\n--b--", "\r\nx\r\n"),
        (
            "almost a boundary", "--b\r\n\(disposition)\r\n\r\n\r\n--\r\n--a\r\n-b\r\n--bc\r\n--b-\r\n--b--",
            "\r\n--\r\n--a\r\n-b\r\n--bc\r\n--b-"
        ),
        ("bare ends of lines", "--b\r\n\(disposition)\r\n\r\n\n--b\n\r--b\r\r\n--b--", "\n--b\n\r--b\r"),
        ("a header that goes on", "--b\r\nContent-Disposition: form-data;\r\n\tname=\"f\"\r\n\r\nx\r\n--b--", "x"),
    ])
    func bytesBetweenBoundariesAreTheContent(claim: String, body: String, content: String) throws {
        #expect(try parse(body) == [part("f", content)], "\(claim)")
    }

    @Test(arguments: [
        (#"name="f"; filename="a\"b.txt""#, #"a"b.txt"#),
        (#"name="f"; filename="a%22b%0D%0A.txt""#, "a\"b\r\n.txt"),
        (#"name="f"; filename="100%.txt""#, "100%.txt"),
        (#"name="f"; filename="C:\dir\file.txt""#, #"C:\dir\file.txt"#),
        (#"name="f"; filename="C:\\dir""#, #"C:\dir"#),
        (#"name="f"; filename="a;b=c.txt""#, "a;b=c.txt"),
        (#"name="f"; filename=plain.txt ; x=y"#, "plain.txt"),
        (#"name="f"; filename="old"; filename*=UTF-8''%e2%82%ac.txt"#, "€.txt"),
        (#"name="f"; filename*=KOI8-R''%e2; filename="old""#, "old"),
        (#"filename="文字.jsonl"; name="f""#, "文字.jsonl"),
        (#"name="f"; filename="""#, ""),
    ])
    func fileNamesAreReadAsSendersWriteThem(parameters: String, name: String) throws {
        let body = "--b\r\nContent-Disposition: form-data; \(parameters)\r\n\r\nx\r\n--b--"
        #expect(try parse(body).first?.head == PartHead(name: "f", fileName: name))
    }

    @Test(arguments: [
        ("--b\r\n\(disposition)\r\n\r\nx\r\n--b", MultipartParser.Failure.unfinished),
        ("--b\r\n\(disposition)\r\n\r\nx\r\n--b\r\n", .unfinished),
        ("--b\r\n\(disposition)\r\n", .unfinished),
        ("", .unfinished),
        ("--c\r\n\(disposition)\r\n\r\nx\r\n--c--", .unfinished),
        ("--b\r\n\r\nx\r\n--b--", .dispositionMissing),
        ("--b\r\nContent-Disposition: attachment; name=\"f\"\r\n\r\nx\r\n--b--", .dispositionMissing),
        ("--b\r\nContent-Disposition: form-data; filename=\"f\"\r\n\r\nx\r\n--b--", .dispositionMissing),
        ("--b\r\nnonsense\r\n\r\nx\r\n--b--", .malformedHeader),
        ("--b\r\n \(disposition)\r\n\r\nx\r\n--b--", .malformedHeader),
    ])
    func whatIsNoFormIsRefused(body: String, failure: MultipartParser.Failure) {
        #expect(throws: failure) { try parse(body) }
    }

    @Test func endlessHeadersAreRefused() {
        let long = "--b\r\nX: " + String(repeating: "y", count: 9_000)
        let many = "--b\r\n" + String(repeating: "X: y\r\n", count: 2_000)
        for body in [long, many] {
            #expect(throws: MultipartParser.Failure.headersTooLong(limit: MultipartParser.maximumHeaderBytes)) {
                try parse(body)
            }
        }
    }

    /// Contents made of the very bytes that delimiters are made of, cut anywhere: what comes out is what went in.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func cutsMakeNoDifference(seed: UInt64) throws {
        var generator = SplitMix64(state: seed)
        for _ in 0..<50 {
            let boundary = String(
                ("-----ab").shuffled(using: &generator).prefix(Int.random(in: 1...5, using: &generator)))
            var body: [UInt8] = []
            var expected: [Part] = []
            for number in 0..<Int.random(in: 1...4, using: &generator) {
                var content: [UInt8] = []
                for _ in 0..<Int.random(in: 0...12, using: &generator) {
                    let pieces = [
                        "\r", "\n", "\r\n", "-", "--", boundary, "\r\n--", "a", "\r\n--\(boundary.dropLast())",
                    ]
                    content += Array(pieces[Int.random(in: pieces.indices, using: &generator)].utf8)
                }
                // What a sender must not choose as its boundary.
                let whole = Array("\r\n".utf8) + content + Array("\r\n".utf8)
                guard !Self.holds(Array("\r\n--\(boundary)".utf8), in: whole) else { continue }
                body += Array("--\(boundary)\r\nContent-Disposition: form-data; name=\"f\(number)\"\r\n\r\n".utf8)
                body += content + Array("\r\n".utf8)
                expected.append(Part(head: PartHead(name: "f\(number)"), bytes: content, isEnded: true))
            }
            body += Array("--\(boundary)--".utf8)
            let cuts = (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                Int.random(in: 0...body.count, using: &generator)
            }
            #expect(try parse(body, boundary: boundary, cuts: cuts) == expected)
            #expect(try parse(body, boundary: boundary, cuts: Array(0..<body.count)) == expected)
        }
    }

    private static func holds(_ needle: [UInt8], in bytes: [UInt8]) -> Bool {
        guard bytes.count >= needle.count else { return false }
        return (0...(bytes.count - needle.count)).contains { Array(bytes[$0..<($0 + needle.count)]) == needle }
    }

    @Test func randomBytesEndInAnAnswer() {
        var generator = SplitMix64(state: 7)
        let alphabet = Array("\r\n-b:; =\"fC".utf8)
        for _ in 0..<3_000 {
            let body = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                alphabet[Int.random(in: alphabet.indices, using: &generator)]
            }
            let start = Array("--b\r\nContent-Disposition: form-data; name=f\r\n\r\n".utf8)
            for bytes in [body, start + body] {
                let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &generator) }
                let whole = Result { () throws(MultipartParser.Failure) in try parse(bytes) }
                let cut = Result { () throws(MultipartParser.Failure) in try parse(bytes, cuts: cuts) }
                #expect(whole == cut)
            }
        }
    }
}

/// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
