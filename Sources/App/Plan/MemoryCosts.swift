/// What the arithmetic cannot derive from sizes: each says where it comes from.
package struct MemoryCosts: Sendable, Equatable {
    /// The program itself with its libraries and runtimes, listening: 48,016 kB were resident with the model of
    /// `Tests/Acceptance/tiny_model.py` (40 MB of them pages of the program and its libraries), less the parts that are
    /// counted elsewhere. A server that shares no library with anything has its own pages alone.
    package var runtime = 45 << 20

    /// Of a thread: the pages of its stack that it touched. 72 to 112 KiB were resident of each stack but the main thread's
    /// after 20 requests of 64 texts, 84 KiB on average.
    package var thread = 96 << 10

    /// A connection that is kept open: channel, parser, three tasks, and the buffer that it read its last request into.
    /// With 200 that had each sent a body of 1 MiB, 87 KiB more were resident for each, with 100 of them 93. (Where no
    /// body was longer than a few words: 48.)
    package var connection = 90 << 10

    /// libpq's buffers and its prepared statements, beside its thread: with 32 connections and not 8, all of which had
    /// written and searched, 7,108 kB more of the process's own memory.
    package var databaseConnection = 200 << 10

    /// A text from its parsing until its request is answered, without its bytes, tokens and vector: the headers of its
    /// string and its ids, its place among the request's inputs (twice) and in the request's record, `QueueEntry`, and
    /// its places in the two tables of `TextWindow`, which are half empty or so. Of 16,384, 32,768
    /// and 65,536 texts of some 15 words that waited each took 650, 670 and 710 bytes more than its bytes, its tokens and
    /// the vectors that there were.
    package var queuedText = 700

    /// A token that waits: its id.
    package var token = 4

    /// Bytes of a JSON number of an answer: `-0.012345678,`. Answers of 2,048 texts had 12.4 a number with 384 dimensions,
    /// all their other bytes included.
    package var answerValue = 13

    /// A value of a body, as the limit of a body's values counts them. The costliest is a list of one value: the value's
    /// own 32 bytes and the list's block, of 32 bytes of header and what the allocator adds. 2,097,000 lists within lists
    /// took 162 MiB beside their text, strings of 16 bytes in lists of 17 about as much.
    package var jsonValue = 80

    package init() {}
}
