/// Who walks a pass: each step's parts are divided among its members.
struct Crew: ~Copyable {
    /// Calls `body` with ranges that together cover `0..<count`, and returns when all parts of the step are done.
    mutating func divide(_ count: Int, _ body: (Range<Int>) -> Void) {
        body(0..<count)
    }
}
