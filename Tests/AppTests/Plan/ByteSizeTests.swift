import App
import ArgumentParser
import Testing

struct ByteSizeTests {
    @Test(
        arguments: [
            ("1", 1), ("536870912", 536_870_912), ("512MB", 512_000_000), ("512 mb", 512_000_000), ("1GiB", 1 << 30),
            ("1.5GiB", 3 << 29), ("0.5KiB", 512), ("2kb", 2_000), ("3TiB", 3 << 40), ("7B", 7), ("0.5", nil),
            ("999999999999", 999_999_999_999),
        ] as [(String, Int?)])
    func numbersAreReadWithTheirUnits(text: String, byteCount: Int?) {
        #expect(ByteSize(text: text)?.byteCount == byteCount)
    }

    @Test(
        arguments: [
            "", "MB", "512M", "1G", "-1", "+1", "1e3", "0", "0MB", "1..5GB", ".5GB", "5.GB", "1,5GB", "1 M B", "nan",
            "2000TiB", "99999999999999999999", "１MB", "1MB!",
        ])
    func everythingElseIsRefused(text: String) {
        #expect(ByteSize(text: text) == nil)
    }

    @Test func theOptionNamesItselfAndItsForms() throws {
        let failure = #expect(throws: (any Error).self) {
            try OvenbirdCommand.parseAsRoot(["plan", "--model", "m", "--memory-limit", "512M"])
        }
        let message = OvenbirdCommand.message(for: try #require(failure))
        #expect(message.contains("--memory-limit is '512M'") && message.contains("MiB"))
    }

    @Test func largeSizesAreToldInMebibytesRoundedUp() {
        #expect(ByteSize(byteCount: 5_000).description == "5000 bytes")
        #expect(ByteSize(byteCount: 100 << 20).description == "100 MiB")
        #expect(ByteSize(byteCount: 100 << 20 + 1).description == "101 MiB")
    }
}
