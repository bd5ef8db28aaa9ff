/// How many segments a process has in hand, how long its word on them holds, and how much of the embedder it takes.
/// Defaults come with their reason.
package struct JobRunnerConfiguration: Sendable, Equatable {
    /// `--job-workers`: segments in hand at a time. 2: while one is stored and its successor is fetched, the other
    /// keeps the compute threads busy.
    package var workerCount = 2

    /// `--job-lease`: how long a segment stays ours without a word from us. 30 s: three heartbeats may be lost before
    /// somebody else does the work again; a dead worker's segments wait no longer than that.
    package var leaseDuration: Duration = .seconds(30)

    /// `--job-poll`: how often an idle process asks for work. 1 s: one small statement a second and process, whatever
    /// the number of workers; the bell makes the usual wait shorter.
    package var pollInterval: Duration = .seconds(1)

    /// How often expired leases are looked for.
    package var rescueInterval: Duration = .seconds(5)

    /// Attempts after which a segment is split. 3: a worker that was killed twice by chance costs no split.
    package var maximumAttempts = 3

    /// How long a rescued or postponed segment rests. From 1 s: whatever broke it may still be breaking; to 60 s: a
    /// job must not stand still for longer than a person waits.
    package var attemptBackoff: ClosedRange<Duration> = .seconds(1)...(.seconds(60))

    /// Documents that SQL enqueued and one step makes a job of: as many as one append takes.
    package var gatherLimit = 1_024

    /// Tokens that all segments in hand may have in the embedder together, at least one text each. The application
    /// gives a quarter of the embedder's admission budget, so that jobs alone never make it refuse a request.
    package var maximumTokensInEmbedder = 65_536

    /// Texts of one call to the embedder. 32: a call that fails costs no more than that again, and what is computed
    /// reaches other workers that wait for an equal text; smaller calls gain nothing, since all calls of a segment wait
    /// in the embedder together, where they are grouped by length.
    package var textsPerCall = 32

    /// How long a stopping process may take to give its segments back. Leases that were not given back expire.
    package var stopPatience: Duration = .milliseconds(900)

    package init() {}

    /// Three a lease: two may fail.
    package var heartbeatInterval: Duration { leaseDuration / 3 }

    /// An idle process proves its contact with the database by polling, so it does that as often as it would heartbeat.
    package var effectivePollInterval: Duration { min(pollInterval, heartbeatInterval) }

    /// Connections to the database that a runner uses at a time: one a worker, one for heartbeats, one for rescues.
    package var connectionCount: Int { workerCount + 2 }
}
