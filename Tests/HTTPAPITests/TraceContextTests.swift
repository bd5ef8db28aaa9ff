import HTTPAPI
import Testing

struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let span = "00f067aa0ba902b7"

    @Test(arguments: [
        "00-\(trace)-\(span)-01", "00-\(trace)-\(span)-00", "00-\(trace)-\(span)-ff", "01-\(trace)-\(span)-01",
        "fe-\(trace)-\(span)-01", "cc-\(trace)-\(span)-01-what-the-future-will-be-like", "cc-\(trace)-\(span)-01-",
    ])
    func knownFieldsAreRead(header: String) {
        let context = TraceContext(traceParent: header)
        #expect(context?.traceID == Self.trace)
        #expect(context?.spanID == Self.span)
    }

    @Test(arguments: [
        "", "00", "00-", "nonsense", "00-\(trace)-\(span)", "00-\(trace)-\(span)-", "00-\(trace)-\(span)-0",
        "00-\(trace)-\(span)-01-", "00-\(trace)-\(span)-01-extra", "00-\(trace)-\(span)-011",
        "ff-\(trace)-\(span)-01", "0g-\(trace)-\(span)-01", "00-\(trace.uppercased())-\(span)-01",
        "00-\(trace)-\(span.uppercased())-01", "00-\(trace)-\(span)-0F", "FE-\(trace)-\(span)-01",
        "00-\(String(repeating: "0", count: 32))-\(span)-01", "00-\(trace)-\(String(repeating: "0", count: 16))-01",
        "00_\(trace)-\(span)-01", "00-\(trace)_\(span)-01", "00-\(trace)-\(span)_01", "00-\(trace)x-\(span)-01",
        " 00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01 ", "cc-\(trace)-\(span)-01x", "cc-\(trace)-\(span)-01.x",
        "00-\(trace)-\(span)-01, 00-\(trace)-\(span)-01", "00-\(trace.dropLast())é-\(span)-01",
        "00-\(trace.dropLast(2))٣-\(span)-01",
    ])
    func allElseCountsAsNotSent(header: String) {
        #expect(TraceContext(traceParent: header) == nil)
    }
}
