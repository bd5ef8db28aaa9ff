"""An idle server and one short query at a time over a kept connection, beside the same texts through the same engine
within one process (`ovenbird bench --one-at-a-time`), in turn.

Claims: the median over HTTP is at most 2 ms, and within 0.8 ms of the in-process median; medians over the rounds.
"""

import argparse
import json
import random
import sys
import tempfile

from load import Generator, add_load_arguments, bench, expect_no_failures, median
from server import Server, Verdict, add_server_arguments

WORDS = (
    "how do birds build a nest out of mud where is the best bread in town what time does the river rise when will the "
    "snow melt who wrote this letter why is the sea green can you show me the way home"
).split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--words", type=int, default=6, help="of a query: so many tokens and two more")
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="that each round's HTTP queries take")
    parser.add_argument("--threads", type=int, default=2, help="compute threads of both")
    parser.add_argument("--most-milliseconds", type=float, default=2.0)
    parser.add_argument("--most-difference", type=float, default=0.8, help="in milliseconds")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()

    verdict, generator = Verdict("lone_query"), Generator(options)
    source = random.Random(options.seed)
    queries = [" ".join(source.choices(WORDS, k=options.words)) for _ in range(options.queries)]
    rows = {"http": [], "in_process": []}
    with (
        tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file,
        Server(options.ovenbird, options.model, "--threads", options.threads, *options.serve_option) as server,
    ):
        file.writelines(json.dumps({"text": query}) + "\n" for query in queries)
        file.flush()
        for number in range(options.rounds):
            for kind in rows if number % 2 == 0 else reversed(rows):
                if kind == "http":
                    load = ["--users", 1, "--input", file.name, "--duration", options.seconds]
                    result = generator.run(server.url, *load)
                    expect_no_failures(verdict, result, "one at a time")
                    latency = result["clients"][0]["latency_ms"]
                else:
                    arguments = ["--one-at-a-time", "--threads", options.threads]
                    latency = bench(options.ovenbird, options.model, file.name, *arguments)["one_at_a_time_ms"]
                rows[kind].append(latency)
                print(f"round {number + 1}: {kind:10} p50 {latency['p50']:.3f} p99 {latency['p99']:.3f} ms", flush=True)
    http, inside = (median([row["p50"] for row in rows[kind]]) for kind in ("http", "in_process"))
    verdict.expect(http <= options.most_milliseconds, f"p50 is {http:.3f} ms, at most {options.most_milliseconds}")
    verdict.expect(
        http - inside <= options.most_difference,
        f"p50 is {http - inside:.3f} ms above the in-process {inside:.3f} ms, at most {options.most_difference}",
    )
    return verdict.finish(
        p50_ms=round(http, 3),
        in_process_p50_ms=round(inside, 3),
        runs={
            kind: [{n: round(v, 3) for n, v in row.items() if v is not None} for row in all]
            for kind, all in rows.items()
        },
        generator=generator.pinning,
    )


if __name__ == "__main__":
    sys.exit(main())
