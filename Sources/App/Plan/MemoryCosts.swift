/// What the arithmetic cannot derive from sizes: each says where it comes from.
package struct MemoryCosts: Sendable, Equatable {
    /// The program itself with its libraries and runtimes, listening: 48,016 kB were resident with the model of
    /// `Tests/Acceptance/tiny_model.py` (40 MB of them pages of the program and its libraries), less the parts that are
    /// counted elsewhere. A server that shares no library with anything has its own pages alone.
    package var runtime = 45 << 20

    /// Of a thread: the pages of its stack that it touched, and its own part of the allocator. Not measured alone.
    package var thread = 96 << 10

    /// A connection that is kept open and has answered a request: channel, parser, buffers, three tasks. From 48,296 to
    /// 132,412 kB resident with 2,000 that had each asked `/livez` and for one embedding.
    package var connection = 42 << 10

    /// libpq's buffers and its prepared statements, beside its thread: with 32 connections and not 8, all of which had
    /// written and searched, 7,108 kB more of the process's own memory.
    package var databaseConnection = 200 << 10

    /// A text from its parsing until its request is answered, without its bytes, tokens and vector: its JSON value (32),
    /// its string's header (32), `EmbeddingInput` (24), `QueueEntry` (72) with its links (32), its row in the request's
    /// record (24), the header of its tokens (32) and of its vector (32), and what the allocator rounds up (4 × 8). The
    /// arrays of these grow by doubling, so that old and new stand side by side for a moment: 16 more.
    package var queuedText = 328

    /// A token that waits: its id.
    package var token = 4

    /// Bytes of a JSON number of an answer: `-0.012345678,`. From the format, not measured.
    package var answerValue = 13

    /// `JSONValue`: a number of a body costs as much, however short it is. An array of them grows by doubling, so half as
    /// much again stands beside it at the last step.
    package var jsonValue = 32

    package init() {}
}
