"""Continuous batching against static, on open-loop traces of texts of mixed length, one a request, at 70 % of what the
continuous server can do.

Static batching is what frameworks do: so many texts or so long a wait, first come, first served, padded to the
longest. It is swept over its size, from two texts on, and its wait. Of those that keep up with the trace (of all, where
none does) the one with the least 99th percentile runs against continuous again, in turn, in every round at 70 % of a
capacity measured just before (64 closed-loop clients with one text each), since a machine's speed changes. Two more run
beside it, without a claim: the best of static batching in the packed layout, which pads nothing, so that the difference
is the schedule's alone; and one text at a time, which is no batching at all.

The texts are made up, mostly questions and some paragraphs (`--words`), or those of a file (`--texts`).

Claim: continuous batching's 99th percentile is at most half of padded static batching's best, and its throughput is no
less, and keeps up; medians over the rounds. With --chart it draws all of them against 1 to 128 users.
"""

import argparse
import itertools
import sys
import tempfile

from load import Generator, add_load_arguments, expect_no_failures, median
from server import Server, Verdict, add_server_arguments

KEEPS_UP = 0.97  # of the offered texts a second, answered within the measured time
USERS = "1,2,4,8,16,32,64,128"
CONTINUOUS, PADDED, PACKED, ALONE = "continuous", "static, padded", "static, packed", "one at a time"
LAYOUTS = {PADDED: "padded", PACKED: "packed"}


class Contest:
    def __init__(self, options, verdict):
        self.options, self.verdict, self.generator = options, verdict, Generator(options)
        self.texts = ["--input", options.texts] if options.texts else ["--words", options.words]

    def server(self, *arguments):
        options = self.options
        return Server(options.ovenbird, options.model, "--threads", options.threads, *arguments, *options.serve_option)

    def rate(self):
        """Requests a second of a trace."""
        with self.server() as running:
            load = ["--users", 64, "--duration", self.options.capacity_seconds, "--warm-up", 2]
            result = self.generator.run(running.url, *load, *self.texts)
        expect_no_failures(self.verdict, result, "a capacity's run")
        return self.options.load * result["texts_per_second"]

    def trace(self, arguments, rate, seconds):
        with self.server(*arguments) as running:
            load = ["--rate", f"{rate:.3f}", "--duration", seconds, "--warm-up", 2, "--request-timeout", 120]
            result = self.generator.run(running.url, *load, *self.texts)
        if not arguments:  # a static server may fall behind; that is what is measured
            expect_no_failures(self.verdict, result, "continuous batching's trace")
        latency = result["clients"][0]["latency_ms"]
        return {
            "p50_ms": round(latency["p50"], 2),
            "p99_ms": round(latency["p99"], 2),
            # Of the rate, not of what was sent: who falls far behind has no connections left to send by.
            "share": round(result["texts_per_second"] / rate, 3),
        }

    def sweep(self, rate):
        """A row for each static server: its kind, size and wait, and what became of the trace."""
        options, rows = self.options, []
        for size, wait in itertools.product(map(int, options.sizes.split(",")), map(int, options.waits.split(","))):
            for kind, layout in LAYOUTS.items():
                arguments = static_options(layout, size, wait)
                rows.append({"kind": kind, "size": size, "wait_ms": wait, "options": arguments})
                rows[-1] |= self.trace(arguments, rate, options.sweep_seconds)
                print(f"{kind} {size:3} texts, {wait:3} ms: {figures(rows[-1])}", flush=True)
        return rows

    def rounds(self, chosen):
        """The runs of each kind, in turn."""
        runs = {kind: [] for kind in chosen}
        for number in range(self.options.rounds):
            rate = self.rate()
            for kind in runs if number % 2 == 0 else reversed(runs):
                runs[kind].append(self.trace(chosen[kind], rate, self.options.seconds) | {"rate": round(rate, 1)})
                print(f"round {number + 1}, {rate:.1f}/s: {kind:14} {figures(runs[kind][-1])}", flush=True)
        return runs

    def draw(self, chosen, labels):
        sweep = ["--sweep-users", USERS, "--duration", 5, "--warm-up", 1, "--request-timeout", 120]
        compared = []
        with tempfile.TemporaryDirectory() as folder:
            for kind in reversed(chosen):  # continuous is the last, and draws the others beside it
                with self.server(*chosen[kind]) as running:
                    arguments = [*sweep, *self.texts, "--label", labels[kind]]
                    if kind == CONTINUOUS:
                        arguments += [*compared, "--chart", self.options.chart]
                    path = f"{folder}/{len(compared)}.json"
                    with open(path, "w") as file:
                        print(self.generator.text(running.url, *arguments), file=file)
                    compared += ["--compare", path]


def static_options(layout, size, wait):
    return ["--layout", layout, "--batching", "static", "--batch-size", size, "--batch-wait", wait]


def figures(row):
    return f"p50 {row['p50_ms']:8.2f} p99 {row['p99_ms']:8.2f} ms, {row['share']:.3f} of the offered"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--texts", metavar="FILE", help='NDJSON lines {"text"}')
    source.add_argument("--words", default="6:70,12:20,40:8,160:2", metavar="MIX", help="of `ovenbird loadtest`")
    parser.add_argument("--load", type=float, default=0.7, help="of the capacity")
    parser.add_argument("--sizes", default="2,4,8,16", help="texts of a static batch")
    parser.add_argument("--waits", default="0,2,5", help="milliseconds that a static batch waits to fill")
    parser.add_argument("--capacity-seconds", type=int, default=8, help="that a capacity is measured")
    parser.add_argument("--sweep-seconds", type=int, default=6, help="that each static server of the sweep is measured")
    parser.add_argument("--seconds", type=int, default=15, help="that each run of a round is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="the servers' compute threads")
    parser.add_argument("--least-ratio", type=float, default=2.0)
    parser.add_argument("--chart", metavar="FILE", help=f"draws them against {USERS} users (.svg or .html)")
    options = parser.parse_args()

    verdict = Verdict("continuous_against_static")
    contest = Contest(options, verdict)
    rate = contest.rate()
    print(f"the sweep's trace is {rate:.1f} requests/s", flush=True)
    sweep = contest.sweep(rate)
    best = {}
    for kind in LAYOUTS:
        rows = [row for row in sweep if row["kind"] == kind]
        rows = [row for row in rows if row["share"] >= KEEPS_UP] or rows
        best[kind] = min(rows, key=lambda row: row["p99_ms"])

    chosen = {CONTINUOUS: [], ALONE: static_options("packed", 1, 0)}
    chosen |= {kind: best[kind]["options"] for kind in LAYOUTS}
    runs = contest.rounds(chosen)
    p99, p50, shares = (
        {kind: median([row[figure] for row in rows]) for kind, rows in runs.items()}
        for figure in ("p99_ms", "p50_ms", "share")
    )
    ratios = {kind: round(p99[kind] / p99[CONTINUOUS], 2) for kind in chosen if kind != CONTINUOUS}
    verdict.expect(
        shares[CONTINUOUS] >= max(KEEPS_UP, shares[PADDED] - (1 - KEEPS_UP)),
        f"continuous batching does not keep up, or has a smaller throughput: {shares} of the offered",
    )
    verdict.expect(
        ratios[PADDED] >= options.least_ratio,
        f"padded static batching's p99 is {ratios[PADDED]} times continuous batching's, at least {options.least_ratio}",
    )
    if options.chart:
        labels = {kind: f"{kind}, {best[kind]['size']} texts or {best[kind]['wait_ms']} ms" for kind in LAYOUTS}
        contest.draw(chosen, {CONTINUOUS: CONTINUOUS, ALONE: ALONE} | labels)
    return verdict.finish(
        ratios=ratios,
        p99_ms=p99,
        p50_ms=p50,
        shares=shares,
        best_static={kind: {"size": row["size"], "wait_ms": row["wait_ms"]} for kind, row in best.items()},
        runs=runs,
        sweep=[{name: value for name, value in row.items() if name != "options"} for row in sweep],
        generator=contest.generator.pinning,
    )


if __name__ == "__main__":
    sys.exit(main())
