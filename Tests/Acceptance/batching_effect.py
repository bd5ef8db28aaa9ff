"""Shows that continuous, length-grouped batching works: concurrent clients post texts of mixed length in shuffled
order, and the server's own metrics tell how many sequences a pass held and how many tokens its rectangle had for
each real one.

Claims: with one text a request at least 3 sequences a pass and at most 1.20 rectangle tokens a real token; with 32
texts a request at least 8 and at most 1.05. The static mode (FIFO batches) stands beside it for comparison, without a
claim.
"""

import argparse
import json
import random
import sys
import threading
import time

import numpy

from server import Server, Verdict, add_server_arguments, decode_vector, read_texts

# The metrics read; the README lists them as a contract.
PASSES = "ovenbird_pass_sequences_count"
SEQUENCES = "ovenbird_pass_sequences_sum"
TOKENS = "ovenbird_tokens_total"
TOKEN_KIND_LABEL = "kind"

CLAIMS = {1: (3, 1.20), 32: (8, 1.05)}  # texts a request: least sequences a pass, most rectangle tokens a real token


def post_all(server, texts, per_request, clients, seed):
    """Posts every text once; a thread takes the next request as soon as it has an answer. Gives (seconds, vectors)."""
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    groups = [order[start : start + per_request] for start in range(0, len(order), per_request)]
    bodies = [
        json.dumps({"input": [texts[i] for i in group], "encoding_format": "base64"}).encode() for group in groups
    ]
    replies = [None] * len(groups)
    numbers = iter(range(len(groups)))
    lock = threading.Lock()
    gate = threading.Barrier(clients + 1)

    def work():
        client = server.client(timeout=300)
        client.get("/livez")  # the connection stands before the clock runs
        gate.wait()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                replies[number] = client.post("/v1/embeddings", bodies[number])
            except Exception as error:  # reported below as a missing reply
                print(f"request {number}: {error!r}", file=sys.stderr)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin

    vectors = [None] * len(texts)
    for group, reply in zip(groups, replies):
        if reply is None or reply.status != 200:
            raise SystemExit(f"a request failed: {reply and (reply.status, reply.body[:300])}")
        data = sorted(reply.json["data"], key=lambda item: item["index"])
        if [item["index"] for item in data] != list(range(len(group))):
            raise SystemExit("an answer does not hold one vector an input")
        for text, item in zip(group, data):
            vectors[text] = decode_vector(item["embedding"])
    return seconds, numpy.stack(vectors)


def measure(server, mode, texts, per_request, options, verdict):
    before = server.metrics()
    seconds, vectors = post_all(server, texts, per_request, options.clients, options.seed)
    after = server.metrics()

    def gained(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)

    passes, sequences = gained(PASSES), gained(SEQUENCES)
    real, rectangle, computed = (
        gained(TOKENS, **{TOKEN_KIND_LABEL: kind}) for kind in ("real", "rectangle", "computed")
    )
    if not passes or not real:
        raise SystemExit(f"/metrics did not count: {PASSES} +{passes}, {TOKENS}{{{TOKEN_KIND_LABEL}=real}} +{real}")
    verdict.expect(
        sequences == len(texts), f"{mode}: {len(texts)} texts were posted, {sequences:.0f} sequences counted"
    )
    verdict.expect(
        rectangle >= real and computed >= real, f"{mode}: rectangle and computed tokens are at least the real ones"
    )
    row = {
        "mode": mode,
        "texts_per_request": per_request,
        "passes": int(passes),
        "sequences_per_pass": round(sequences / passes, 3),
        "rectangle_per_real": round(rectangle / real, 4),
        "computed_per_real": round(computed / real, 4),
        "real_tokens": int(real),
        "texts_per_second": round(len(texts) / seconds, 1),
        "tokens_per_second": round(real / seconds),
    }
    return row, vectors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the mixed set')
    parser.add_argument("--limit", type=int, default=2048, help="texts used (default 2048)")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2, help="the server's compute threads")
    parser.add_argument("--seed", type=int, default=20)
    options = parser.parse_args()

    texts = read_texts(options.texts, options.limit)
    verdict = Verdict("batching_effect")
    rows, first = [], None
    largest = 0.0
    static = ["--batching", "static", "--layout", "packed", "--batch-size", "32", "--batch-wait", "5"]
    for mode, extra in (("continuous", []), ("static", static)):
        with Server(
            options.ovenbird, options.model, "--threads", options.threads, *extra, *options.serve_option
        ) as server:
            post_all(server, texts[:64], 1, options.clients, options.seed)  # warm
            for per_request in CLAIMS:
                row, vectors = measure(server, mode, texts, per_request, options, verdict)
                rows.append(row)
                first = vectors if first is None else first
                largest = max(largest, float(numpy.abs(vectors - first).max()))
                if mode == "continuous":
                    sequences, ratio = CLAIMS[per_request]
                    verdict.expect(
                        row["sequences_per_pass"] >= sequences,
                        f"{per_request} a request: {row['sequences_per_pass']} sequences a pass, at least {sequences}",
                    )
                    verdict.expect(
                        row["rectangle_per_real"] <= ratio,
                        f"{per_request} a request: {row['rectangle_per_real']} rectangle a real token, at most {ratio}",
                    )
    verdict.expect(largest <= 1e-5, f"the same text gave vectors {largest} apart")

    columns = list(rows[0])
    table = [columns, *([str(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(columns))]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths)))
    return verdict.finish(texts=len(texts), clients=options.clients, largest_difference_between_runs=largest, runs=rows)


if __name__ == "__main__":
    sys.exit(main())
