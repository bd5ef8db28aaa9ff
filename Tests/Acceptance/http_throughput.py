"""How much of `ovenbird bench` arrives through HTTP: bench and `ovenbird loadtest` on the same texts in turn.

Claims: 8 closed-loop clients with 32 texts each are answered with at least 92 % of bench's tokens a second, 64 clients
with one text each with at least 80 %; medians over the rounds.
"""

import argparse
import sys

from load import Generator, add_load_arguments, bench, expect_no_failures, median
from server import Server, Verdict, add_server_arguments

CLAIMS = {"8 x 32": (8, 32, 0.92), "64 x 1": (64, 1, 0.80)}  # name: users, texts a request, least share of bench


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the mixed set')
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=12, help="that each load is measured")
    parser.add_argument("--threads", type=int, default=2, help="compute threads of both")
    options = parser.parse_args()

    verdict, generator = Verdict("http_throughput"), Generator(options)
    rates = {name: [] for name in ("bench", *CLAIMS)}
    texts_per_second = {name: [] for name in rates}
    cores = {name: [] for name in CLAIMS}
    server_options = ["--threads", options.threads, *options.serve_option]
    with Server(options.ovenbird, options.model, *server_options) as server:
        for number in range(options.rounds):
            order = list(rates) if number % 2 == 0 else list(reversed(rates))
            for name in order:  # who goes first changes, lest one always has the warmer machine
                if name == "bench":
                    # The server holds its memory meanwhile, and idles.
                    result = bench(options.ovenbird, options.model, options.texts, "--threads", options.threads)
                else:
                    users, texts, _ = CLAIMS[name]
                    load = ["--users", users, "--texts-per-request", texts, "--input", options.texts]
                    result = generator.run(server.url, *load, "--duration", options.seconds, "--warm-up", 2)
                    expect_no_failures(verdict, result, name)
                    cores[name].append(result["generator"]["cores"])
                rates[name].append(result["tokens_per_second"])
                texts_per_second[name].append(result["texts_per_second"])
                print(
                    f"round {number + 1}: {name:8} {texts_per_second[name][-1]:7.1f} texts/s "
                    f"{rates[name][-1]:8.0f} tokens/s",
                    flush=True,
                )
    shares = {name: median(rates[name]) / median(rates["bench"]) for name in CLAIMS}
    for name, (_, _, least) in CLAIMS.items():
        verdict.expect(shares[name] >= least, f"{name}: {shares[name]:.3f} of bench, at least {least}")
    return verdict.finish(
        shares={name: round(share, 3) for name, share in shares.items()},
        tokens_per_second={name: [round(value) for value in values] for name, values in rates.items()},
        texts_per_second={name: [round(value, 1) for value in values] for name, values in texts_per_second.items()},
        generator=generator.pinning,
        generator_cores={name: round(median(values), 3) for name, values in cores.items()},
    )


if __name__ == "__main__":
    sys.exit(main())
