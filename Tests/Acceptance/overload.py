"""Four times as much as the server can do, for a minute, by an open loop of requests with 16 texts; and a lone client
that asks before, meanwhile and afterwards.

The capacity is what 8 closed-loop clients with 32 texts each are answered with, just before and just after: the mean of
both, since a machine that others use too changes its speed meanwhile.

Claims: goodput is at least 92 % of the capacity; every refusal is a 429 with a Retry-After of 1 to 120 s; nothing
else goes wrong; no accepted request takes longer than 1.3 times the longest wait that was promised; the median error
of X-Queue-Eta-Ms is at most 30 %; resident memory stays within 20 MB of its middle; and from two seconds after the
flood's end the lone client's median is at most 25 ms, or twice what it was before, if that is more. What counts of the
flood begins with its tenth second: the queue is full by then. Of the texts of the set there are as many versions as it
takes for hardly any text to be asked for twice at the same time, since such are computed once.
"""

import argparse
import statistics
import sys
import time

from load import (
    Generator,
    LatencyProbe,
    ResidentMemory,
    add_load_arguments,
    client,
    expect_no_failures,
    quantile,
    versions_of,
)
from server import Server, Verdict, add_server_arguments

TEXTS_PER_REQUEST = 16
VERSIONS = 40  # of each text
FILLING_SECONDS = 10  # of the flood before it counts: the queue fills, and little comes out of it yet
LEAST_GOODPUT = 0.92
MOST_ETA_ERROR = 0.30
MOST_OVER_PROMISE = 1.3
MEMORY_MARGIN = 20e6  # bytes, up and down
RECOVERY_SECONDS = 2.0
CALM_MILLISECONDS = 25.0


def measure_capacity(server, generator, texts, verdict):
    """Texts a second."""
    closed = ["--users", 8, "--texts-per-request", 32, "--duration", 15, "--warm-up", 2]
    result = generator.run(server.url, *closed, *texts)
    expect_no_failures(verdict, result, "the capacity's run")
    return result["texts_per_second"]


def judge_flood(verdict, flood, capacity):
    goodput = flood["good_texts_per_second"] / capacity
    verdict.expect(goodput >= LEAST_GOODPUT, f"goodput is {goodput:.3f} of the capacity, at least {LEAST_GOODPUT}")
    verdict.expect(flood["refused"] > 0, "four times the capacity was not refused in part: it was no flood")
    for refusal in flood["refusals"]:
        verdict.expect(
            refusal["status"] == 429 and refusal["with_usable_retry_after"] == refusal["count"],
            f"a refusal without a usable Retry-After, or none of 429: {refusal}",
        )
    verdict.expect(not flood["errors"], f"errors: {flood['errors']}")
    verdict.expect(not flood["unsent"], f"the generator left {flood['unsent']} requests unsent")
    eta = flood["queue_eta"]
    verdict.expect(
        eta["answers"] == flood["answered"], f"{eta['answers']} of {flood['answered']} answers carry X-Queue-Eta-Ms"
    )
    if not eta["answers"]:
        return goodput
    error, longest, promised = eta["median_relative_error"], flood["uncorrected_latency_ms"]["max"], eta["greatest_ms"]
    verdict.expect(
        error <= MOST_ETA_ERROR, f"X-Queue-Eta-Ms has a median error of {error:.3f}, at most {MOST_ETA_ERROR}"
    )
    verdict.expect(
        longest <= MOST_OVER_PROMISE * promised,
        f"an accepted request took {longest:.0f} ms; the longest wait promised was {promised:.0f} ms",
    )
    return goodput


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the mixed set')
    parser.add_argument("--seconds", type=int, default=60, help="of the flood")
    parser.add_argument("--times", type=float, default=4.0, help="the capacity")
    parser.add_argument("--threads", type=int, default=2, help="the server's compute threads")
    options = parser.parse_args()

    verdict, generator = Verdict("overload"), Generator(options)
    with (
        versions_of(options.texts, VERSIONS) as file,
        Server(options.ovenbird, options.model, "--threads", options.threads, *options.serve_option) as server,
    ):
        texts = ["--input", file.name]
        capacities = [measure_capacity(server, generator, texts, verdict)]
        rate = options.times * capacities[0] / TEXTS_PER_REQUEST
        offer = f"{rate:.1f} requests/s of {TEXTS_PER_REQUEST}"
        print(f"capacity {capacities[0]:.1f} texts/s; the flood is {offer}", flush=True)
        rested = server.resident_bytes()
        with ResidentMemory(server) as memory, LatencyProbe(server) as probe:
            time.sleep(4)
            flood_options = [
                "--rate",
                f"{rate:.3f}",
                "--texts-per-request",
                TEXTS_PER_REQUEST,
                "--warm-up",
                FILLING_SECONDS,
            ]
            bounds = ["--duration", options.seconds, "--request-timeout", 120, "--max-connections", 1_000]
            began = time.time()
            result = generator.run(server.url, *flood_options, *bounds, *texts)
            end = result["began_at"] + FILLING_SECONDS + options.seconds
            time.sleep(max(0.0, end + RECOVERY_SECONDS + 5 - time.time()))
        capacities.append(measure_capacity(server, generator, texts, verdict))
        verdict.expect(server.alive(), "the server has ended")
    verdict.expect(capacities[1] >= LEAST_GOODPUT * capacities[0], f"the flood left a slower server: {capacities}")
    capacity = statistics.mean(capacities)
    flood = client(result, "all")
    goodput = judge_flood(verdict, {**flood, "refused": result["refused"]}, capacity)

    sizes = memory.between(result["began_at"] + FILLING_SECONDS, end)
    spread = (max(sizes) - min(sizes)) / 2 if sizes else float("nan")
    verdict.expect(spread <= MEMORY_MARGIN, f"resident memory moved by {spread / 1e6:.1f} MB to either side")
    before, meanwhile = probe.between(0, began), probe.between(result["began_at"], end)
    after = probe.between(end + RECOVERY_SECONDS, end + RECOVERY_SECONDS + 5)
    calm = max(CALM_MILLISECONDS, 2 * quantile(before, 0.5))
    verdict.expect(
        bool(after) and quantile(after, 0.5) <= calm,
        f"{RECOVERY_SECONDS:.0f} s after the flood the lone client's median is {quantile(after, 0.5):.1f} ms, "
        f"at most {calm:.1f}",
    )

    def milliseconds(values):
        shares = {"p50": 0.5, "p99": 0.99} if values else {}
        return {name: round(quantile(values, share), 2) for name, share in shares.items()} | {"answers": len(values)}

    eta = flood["queue_eta"]
    return verdict.finish(
        capacities_texts_per_second=[round(capacity, 1) for capacity in capacities],
        offered_texts_per_second=round(rate * TEXTS_PER_REQUEST, 1),
        goodput=round(goodput, 3),
        requests=flood["requests"],
        answered=flood["answered"],
        refusals=flood["refusals"],
        refusal_p99_ms=flood["refusal_latency_ms"]["p99"],
        accepted_latency_ms=flood["uncorrected_latency_ms"],
        eta=eta,
        rested_megabytes=round(rested / 1e6, 1),
        flood_megabytes=[round(min(sizes) / 1e6, 1), round(max(sizes) / 1e6, 1)] if sizes else None,
        lone_ms={"before": milliseconds(before), "meanwhile": milliseconds(meanwhile), "after": milliseconds(after)},
        generator=generator.pinning,
        generator_cores=round(result["generator"]["cores"], 3),
    )


if __name__ == "__main__":
    sys.exit(main())
