/// How texts become passes, and how much work is taken. Defaults come with their reason; the figures named here are
/// those of the closed-loop simulation in `ClosedLoopTests` (lengths of a real mixed set, two compute threads).
package struct BatchingConfiguration: Sendable, Equatable {
    package enum Mode: Sendable, Equatable {
        /// A free compute thread takes the best next batch at once: the oldest text seeds it, the nearest lengths fill
        /// it.
        case continuous
        /// Batches of `batchSize` texts in the order they came, whatever their lengths, each run when it is full or
        /// when its oldest text has waited for `wait`. Here to be measured against; the token budget does not apply to
        /// it.
        case firstComeFirstServed(batchSize: Int, wait: Duration)
    }

    /// `--batching`. Continuous: it needs no delay, and wastes 3 to 15 % where first come, first served wastes 150 to
    /// 340 %.
    package var mode: Mode = .continuous

    /// `--max-batch-tokens`: the rectangle (sequences × width) that a pass may fill; a text longer than that runs
    /// alone. 512: dense layers gain nothing beyond 64 to 128 tokens, so a larger pass only makes others wait (512
    /// tokens take about 0.12 s of a core for a small model), while a smaller one leaves full queues with passes of
    /// fewer than ten texts.
    package var maximumBatchTokens = 512

    /// `--max-num-seqs`: sequences in a pass. 64: 512 tokens of the shortest texts (8 tokens); it bounds what one pass
    /// answers.
    package var maximumBatchSequences = 64

    /// Padding that any pass may hold, in tokens. A pass of few tokens leaves the dense layers below their best, so
    /// some padding buys a fuller pass: 32 gives 16 clients with one text each 3.5 texts a pass at a rectangle of 1.14;
    /// 0 gives 1.8, 48 wastes 18 %.
    package var freePaddingTokens = 32

    /// Padding beyond `freePaddingTokens`, as a share of the pass's real tokens. 0.04 keeps a full queue at a rectangle
    /// below 1.05.
    package var paddingShare = 0.04

    /// While threads are idle, a pass takes at most its thread's share of what waits, but never less than this many
    /// tokens. 64: from there on a pass is bound by arithmetic and no longer by reading the weights.
    package var minimumShareTokens = 64

    /// The least share of the computed tokens that bulk work gets while both lanes wait. An eighth: a job goes on
    /// however long people keep typing, and they do not notice.
    package var bulkShare = 0.125

    /// Tokens of a pass that runs between two steps of a bulk pass, padding included, bulk texts that fill it up among
    /// them. 32: some 4 ms for a small model in bfloat16; a pass of 8 tokens takes more than a third of that and leaves
    /// half of the core's arithmetic unused.
    package var interludeTokens = 32

    /// What an interactive pass may take, at the measured rate, though never fewer than `minimumShareTokens`: who comes next
    /// waits for it. 40 ms: on a core that computes 3,000 tokens a second a pass of 512 would take 170, and be no faster
    /// than one of 120.
    package var interactivePassTime = Duration.milliseconds(40)

    /// Tokens that bulk work may fill an interactive pass up to, at most. 128: the thread works as well as with more.
    package var bulkFillTokens = 128

    /// What an interactive pass that bulk work fills may take, at the measured rate, unless an interlude takes longer. 15 ms: who
    /// asked for one text waits hardly longer for the company, and a small model in bfloat16 computes 128 tokens in it.
    package var bulkFillTime = Duration.milliseconds(15)

    /// `--max-queued-tokens`: tokens of admitted inputs that are not finished. Nil: what one request of
    /// `maximumInputsPerRequest` texts at the model's limit can hold, and no less than 262,144, so that an idle server
    /// takes whatever the request limits allow, and a full queue is minutes long, not hours.
    package var maximumQueuedTokens: Int?

    /// `--max-queue-wait`: requests that others' work would make wait for longer are refused. Nil: however long.
    package var maximumQueueWait: Duration?

    /// Bytes of a request's inputs up to which its caller tokenizes them, and not a thread for it. 4 KiB: some 30 µs,
    /// less than waking another thread takes.
    package var inlineTokenizationBytes = 4 << 10

    /// How long a compute thread that just worked looks out for more before it sleeps, letting others run. 200 µs: a
    /// client that asks one text after another over a local connection is back by then, and waking a thread takes half
    /// as long.
    package var lookoutTime: Duration = .microseconds(200)

    /// A compute thread that was not heard of for so long, in the middle of a pass, is given up and replaced. 30 s: from
    /// one step of a pass to the next a large model takes a slow core some 100 ms.
    package var lostThreadTimeout: Duration = .seconds(30)

    /// Inputs that the callers' own limits let through in one request; only sizes the default of `maximumQueuedTokens`.
    package var maximumInputsPerRequest = 2048

    /// Bytes of text being tokenized or waiting for it; beyond it requests are answered as overloaded, except that a
    /// request alone is always taken. 64 MiB: two of the largest bodies.
    package var maximumTokenizingBytes = 64 << 20

    /// `--threads`: compute threads. One per core that the process may use (`ProcessorAllowance`); more only share a
    /// core.
    package var computeThreadCount = 1

    /// Compute threads that work on one pass while the others have nothing to do; 1: none ever helps. 4: the steps of a
    /// text of 8 tokens take a small model's core some 10 to 50 µs, and have no more parts that are worth handing out.
    package var maximumGangMembers = 4

    /// Threads that tokenize. 1: at 10 MB/s it feeds some 300 cores of a small fp32 model.
    package var tokenizerThreadCount = 1

    package init() {}

    /// Tokens that admitted and unfinished inputs may hold together.
    package func queueBudget(sequenceLimit: Int) -> Int {
        maximumQueuedTokens ?? max(262_144, maximumInputsPerRequest * sequenceLimit)
    }

    /// The largest rectangle that a pass can have; a workspace of that many tokens fits every pass.
    package func maximumPassTokens(sequenceLimit: Int) -> Int {
        switch mode {
        case .continuous: max(maximumBatchTokens, sequenceLimit)
        case .firstComeFirstServed(let batchSize, _): batchSize * sequenceLimit
        }
    }

    /// Texts of the largest pass.
    package var maximumPassTexts: Int {
        switch mode {
        case .continuous: maximumBatchSequences
        case .firstComeFirstServed(let batchSize, _): batchSize
        }
    }

    /// Threads of a gang, no more than there are.
    package var gangMemberLimit: Int { min(maximumGangMembers, computeThreadCount) }

    /// What is wrong with these values, for people; nil where nothing is.
    package var complaint: String? {
        if maximumBatchTokens < 1 { return "--max-batch-tokens must be at least 1" }
        if maximumBatchSequences < 1 { return "--max-num-seqs must be at least 1" }
        if let maximumQueuedTokens, maximumQueuedTokens < 1 { return "--max-queued-tokens must be at least 1" }
        if !(0..<1).contains(bulkShare) { return "bulk work's share must be at least 0 and less than 1" }
        if lostThreadTimeout <= .zero { return "a compute thread must be given some time to be heard of" }
        if interludeTokens < 1 { return "an interlude must hold at least one token" }
        if computeThreadCount < 1 { return "--threads must be at least 1" }
        if maximumGangMembers < 1 { return "a gang has at least one member" }
        if case .firstComeFirstServed(let batchSize, let wait) = mode {
            if batchSize < 1 { return "--batch-size must be at least 1" }
            if wait < .zero { return "--batch-wait must not be negative" }
        }
        return nil
    }
}
