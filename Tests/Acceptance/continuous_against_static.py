"""Continuous batching against static, on one open-loop trace of texts of mixed length, one a request, at 70 % of what
the continuous server can do.

The capacity is what 64 closed-loop clients with one text each are answered with. Static batching is swept over its
size and its wait, in the layout that serves (its best); those that keep up with the trace are judged by their 99th
percentile, and the best of them runs against continuous again, in turn.

Claim: continuous batching's 99th percentile is at most half of static's best, at the same throughput; medians over
the rounds. With --chart it draws both against 1 to 128 users.
"""

import argparse
import itertools
import sys
import tempfile

from load import Generator, add_load_arguments, expect_no_failures, median
from server import Server, Verdict, add_server_arguments

KEEPS_UP = 0.97  # of the offered texts a second, answered within the measured time
USERS = "1,2,4,8,16,32,64,128"


def static_options(size, wait):
    return ["--batching", "static", "--batch-size", size, "--batch-wait", wait]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the mixed set')
    parser.add_argument("--load", type=float, default=0.7, help="of the capacity")
    parser.add_argument("--sizes", default="1,2,4,8,16,32,64", help="texts of a static batch")
    parser.add_argument("--waits", default="0,2,5,20", help="milliseconds that a static batch waits to fill")
    parser.add_argument(
        "--sweep-seconds", type=int, default=10, help="that each static server is measured in the sweep"
    )
    parser.add_argument("--seconds", type=int, default=30, help="that each run of a round is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="the servers' compute threads")
    parser.add_argument("--least-ratio", type=float, default=2.0)
    parser.add_argument("--chart", metavar="FILE", help=f"draws both against {USERS} users (.svg or .html)")
    options = parser.parse_args()

    verdict, generator = Verdict("continuous_against_static"), Generator(options)
    texts = ["--input", options.texts]

    def server(*arguments):
        return Server(options.ovenbird, options.model, "--threads", options.threads, *arguments, *options.serve_option)

    with server() as running:
        result = generator.run(running.url, "--users", 64, "--duration", 15, "--warm-up", 2, *texts)
        expect_no_failures(verdict, result, "the capacity's run")
    rate = options.load * result["texts_per_second"]
    print(f"capacity {result['texts_per_second']:.1f} texts/s; the trace is {rate:.1f} requests/s", flush=True)

    def trace(arguments, seconds):
        """(99th percentile in milliseconds, texts a second over what was offered, median)"""
        with server(*arguments) as running:
            load = ["--rate", f"{rate:.3f}", "--duration", seconds, "--warm-up", 2, "--request-timeout", 120]
            result = generator.run(running.url, *load, *texts)
        expect_no_failures(verdict, result, f"the trace with {arguments}")
        latency = result["clients"][0]["latency_ms"]
        offered = result["clients"][0]["requests"] / seconds
        return latency["p99"], result["texts_per_second"] / offered, latency["p50"]

    sweep = []
    for size, wait in itertools.product(map(int, options.sizes.split(",")), map(int, options.waits.split(","))):
        if size == 1 and wait:
            continue  # a batch of one is full at once
        p99, share, p50 = trace(static_options(size, wait), options.sweep_seconds)
        sweep.append(
            {"size": size, "wait_ms": wait, "p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "share": round(share, 3)}
        )
        print(
            f"static {size:3} texts, {wait:3} ms: p50 {p50:8.2f} p99 {p99:8.2f} ms, {share:.3f} of the offered",
            flush=True,
        )
    keeping_up = [row for row in sweep if row["share"] >= KEEPS_UP]
    if not verdict.expect(keeping_up, "no static server keeps up with the trace"):
        return verdict.finish(rate=round(rate, 1), sweep=sweep)
    best = min(keeping_up, key=lambda row: row["p99_ms"])
    chosen = static_options(best["size"], best["wait_ms"])

    runs = {"continuous": [], "static": []}
    for number in range(options.rounds):
        for kind in runs if number % 2 == 0 else reversed(runs):
            p99, share, p50 = trace([] if kind == "continuous" else chosen, options.seconds)
            runs[kind].append({"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "share": round(share, 3)})
            print(
                f"round {number + 1}: {kind:10} p50 {p50:8.2f} p99 {p99:8.2f} ms, {share:.3f} of the offered",
                flush=True,
            )
    p99 = {kind: median([row["p99_ms"] for row in rows]) for kind, rows in runs.items()}
    shares = {kind: median([row["share"] for row in rows]) for kind, rows in runs.items()}
    ratio = p99["static"] / p99["continuous"]
    verdict.expect(
        abs(shares["continuous"] - shares["static"]) <= 1 - KEEPS_UP, f"the throughputs differ: {shares} of the offered"
    )
    verdict.expect(
        ratio >= options.least_ratio,
        f"static's p99 is {ratio:.2f} times continuous batching's, at least {options.least_ratio}",
    )
    if options.chart:
        draw(generator, server, chosen, best, texts, options.chart)
    return verdict.finish(
        rate=round(rate, 1),
        ratio=round(ratio, 2),
        p99_ms={kind: round(value, 2) for kind, value in p99.items()},
        best_static={"size": best["size"], "wait_ms": best["wait_ms"]},
        runs=runs,
        sweep=sweep,
        generator=generator.pinning,
    )


def draw(generator, server, chosen, best, texts, chart):
    sweep = ["--sweep-users", USERS, "--duration", 8, "--warm-up", 2, "--request-timeout", 120]
    static = f"static, {best['size']} texts or {best['wait_ms']} ms"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        with server(*chosen) as running:
            print(generator.text(running.url, *sweep, *texts, "--label", static), file=file, flush=True)
        with server() as running:
            generator.run(
                running.url, *sweep, *texts, "--label", "continuous", "--compare", file.name, "--chart", chart
            )


if __name__ == "__main__":
    sys.exit(main())
