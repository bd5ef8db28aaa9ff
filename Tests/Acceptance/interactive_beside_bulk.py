"""A lone interactive client beside bulk traffic that saturates the server: bulk alone, both, bulk alone, both, …

The bulk is 8 closed-loop clients with 32 texts a request and `"priority":"bulk"`; the lone client asks for one short
query at a time and thinks 50 ms between its requests.

Claims: the lone client's 99th percentile is at most 25 ms, and bulk keeps at least 85 % of its lone tokens a second;
medians over the rounds.
"""

import argparse
import sys

from load import Generator, add_load_arguments, client, expect_no_failures, median
from server import Server, Verdict, add_server_arguments


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the bulk')
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="that each load is measured")
    parser.add_argument("--threads", type=int, default=2, help="the server's compute threads")
    parser.add_argument("--most-milliseconds", type=float, default=25.0)
    parser.add_argument("--least-share", type=float, default=0.85)
    options = parser.parse_args()

    verdict, generator = Verdict("interactive_beside_bulk"), Generator(options)
    bulk = ["--client", f"bulk users=8 texts=32 priority=bulk input={options.texts}"]
    lone = ["--client", "lone think-ms=50 words=6 priority=interactive"]
    time = ["--duration", options.seconds, "--warm-up", 3]
    alone, beside, latencies = [], [], []
    with Server(options.ovenbird, options.model, "--threads", options.threads, *options.serve_option) as server:
        for number in range(options.rounds):
            result = generator.run(server.url, *bulk, *time)
            expect_no_failures(verdict, result, "bulk alone")
            alone.append(client(result, "bulk")["tokens_per_second"])
            result = generator.run(server.url, *bulk, *lone, *time)
            expect_no_failures(verdict, result, "both")
            beside.append(client(result, "bulk")["tokens_per_second"])
            latencies.append(client(result, "lone")["latency_ms"])
            print(
                f"round {number + 1}: bulk {alone[-1]:.0f} tokens/s alone, {beside[-1]:.0f} beside; "
                f"lone p50 {latencies[-1]['p50']:.2f}, p99 {latencies[-1]['p99']:.2f}, "
                f"max {latencies[-1]['max']:.2f} ms",
                flush=True,
            )
    p99, share = median([row["p99"] for row in latencies]), median(beside) / median(alone)
    most, least = options.most_milliseconds, options.least_share
    verdict.expect(p99 <= most, f"the lone client's p99 is {p99:.2f} ms, at most {most}")
    verdict.expect(share >= least, f"bulk keeps {share:.3f} of its tokens a second, at least {least}")
    return verdict.finish(
        lone_p99_ms=round(p99, 2),
        lone_ms=[{name: round(value, 2) for name, value in row.items()} for row in latencies],
        bulk_share=round(share, 3),
        bulk_alone=[round(value) for value in alone],
        bulk_beside=[round(value) for value in beside],
        generator=generator.pinning,
    )


if __name__ == "__main__":
    sys.exit(main())
