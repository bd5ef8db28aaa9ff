import ArgumentParser
import Batching

/// How much memory the process may take.
struct MemoryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Memory that the process may take: bytes, or a number with MB, GB, MiB or GiB. Default: the control group's \
            limit, else all that the machine has.
            """, valueName: "size"),
        transform: ByteSize.option("--memory-limit"))
    var memoryLimit: ByteSize?

    var allowance: MemoryAllowance { .current(option: memoryLimit?.byteCount) }
}
