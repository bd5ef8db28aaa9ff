"""Compares searches with an exact search in NumPy over the stored vectors, and shows that unchanged documents cost
nothing.

Loads documents over HTTP as NDJSON, reads id, vector, text and metadata back with psql from the collection's view,
and asks by text, by vector and with filters. Claims: every result is the exact one (ids equal wherever neighbouring
scores differ by more than 1e-5; scores within 1e-5); the same upsert again computes no token, also after a restart.
The model must not have prompts of its own, since /v1/embeddings gives the query's vector here.
"""

import argparse
import contextlib
import json
import sys
import time

import numpy

from cluster import Cluster, query
from filters import FILTERS, matches
from server import Server, Verdict, add_server_arguments, decode_vector, quoted, read_texts

COMPUTED = ("ovenbird_tokens_total", {"kind": "computed"})
NAME = "acceptance-search"
TOLERANCE = 1e-5


def documents(texts, count):
    """No two texts are equal, numbers see to that. Every fourth lacks `rare`; `mixed` has two types."""
    for number in range(count):
        text = texts[number % len(texts)]
        if number >= len(texts):
            text = f"{text} ({number // len(texts)})"
        identifier = f"doc {number:05d}/50%?#ü" if number % 97 == 0 else f"doc-{number:05d}"
        metadata = {
            "number": number,
            "group": f"g{number % 7}",
            "even": number % 2 == 0,
            "nested": {"bucket": number % 10},
            "mixed": number if number % 3 else str(number),
            "nothing": None,
        }
        if number % 4:
            metadata["rare"] = round(number / 7, 3)
        yield {"id": identifier, "text": text, "metadata": metadata}


def upsert(client, rows, per_request):
    """The sums of the answers' counts, and the seconds."""
    totals = dict.fromkeys(("inserted", "updated", "unchanged", "failed"), 0)
    begin = time.monotonic()
    for start in range(0, len(rows), per_request):
        body = "".join(json.dumps(row) + "\n" for row in rows[start : start + per_request]).encode()
        answer = client.post(f"/v1/collections/{NAME}/documents", body, "application/x-ndjson").expect(200).json
        for key in totals:
            totals[key] += answer[key]
        if answer["failed"]:
            print(f"failed documents: {answer['errors'][:3]}", file=sys.stderr)
    return totals, time.monotonic() - begin


class Oracle:
    """Ids, vectors, texts and metadata as psql reads them from the view, and exact cosine search over them."""

    def __init__(self, psql, url):
        lines = query(
            psql,
            url,
            f"""SELECT json_build_object('id', id, 'text', text, 'metadata', metadata,
            'vector', embedding::text::json) FROM ovenbird_views."{NAME}" """,
        )
        rows = sorted(map(json.loads, lines), key=lambda row: row["id"].encode())
        self.ids = [row["id"] for row in rows]
        self.rows = {row["id"]: row for row in rows}
        # A half's shortest decimals name it only once they are rounded to a narrow type again.
        self.stored = numpy.array([row["vector"] for row in rows], numpy.float16).astype(numpy.float64)
        self.unit = self.stored / numpy.linalg.norm(self.stored, axis=1, keepdims=True)
        self.place = {identifier: index for index, identifier in enumerate(self.ids)}

    def search(self, vector, k, condition):
        """Best first, equal scores in the order of the ids' bytes: (indexes, all scores)."""
        rounded = vector.astype(numpy.float16).astype(numpy.float64)
        scores = self.unit @ (rounded / numpy.linalg.norm(rounded))
        allowed = numpy.array(
            [condition is None or matches(self.rows[i]["metadata"], condition) for i in self.ids], bool
        )
        candidates = numpy.flatnonzero(allowed)
        return candidates[numpy.argsort(-scores[candidates], kind="stable")][: k + 1], scores


def compare(oracle, results, vector, k, condition, verdict, what):
    """Checks one answer; the largest difference of a score."""
    expected, scores = oracle.search(vector, k, condition)
    wanted = expected[:k]
    if not verdict.expect(len(results) == len(wanted), f"{what}: {len(results)} results instead of {len(wanted)}"):
        return 0.0
    got = [oracle.place.get(result["id"], -1) for result in results]
    if not verdict.expect(-1 not in got and len(set(got)) == len(got), f"{what}: an id is unknown or stands twice"):
        return 0.0
    worst = max((abs(result["score"] - scores[place]) for result, place in zip(results, got)), default=0.0)
    verdict.expect(worst <= TOLERANCE, f"{what}: a score is {worst} off")
    given = [result["score"] for result in results]
    verdict.expect(given == sorted(given, reverse=True), f"{what}: not best first")
    for rank, (place, right) in enumerate(zip(got, wanted)):
        if place == right:
            continue
        neighbours = [scores[expected[other]] for other in (rank - 1, rank + 1) if 0 <= other < len(expected)]
        alone = all(abs(score - scores[right]) > TOLERANCE for score in neighbours)
        verdict.expect(
            not alone and abs(scores[place] - scores[right]) <= TOLERANCE,
            f"{what}: rank {rank} is {oracle.ids[place]} instead of {oracle.ids[right]}",
        )
    for result in results[:20]:
        row = oracle.rows[result["id"]]
        verdict.expect(
            result["text"] == row["text"] and result["metadata"] == row["metadata"], f"{what}: {result['id']} differs"
        )
    return worst


def run_searches(client, oracle, texts, options, verdict):
    chance = numpy.random.default_rng(options.seed)
    dimensions = oracle.stored.shape[1]
    worst, filtered, begin = 0.0, 0, time.monotonic()
    for number in range(options.searches):
        k = (10, 1, 100, 3, 1000)[number % 5]
        condition = FILTERS[number % len(FILTERS)] if number % 3 == 2 else None
        filtered += condition is not None
        body, what = {"k": k}, f"search {number}, k={k}, filter={json.dumps(condition)}"
        if condition is not None:
            body["filter"] = condition
        if number % 2 == 0:
            text = " ".join(chance.permutation(texts[int(chance.integers(len(texts)))].split())[:12]) or "bread"
            answer = client.post("/v1/embeddings", {"input": text, "encoding_format": "base64"}).expect(200).json
            vector, body["query"] = decode_vector(answer["data"][0]["embedding"]), text
        else:
            near = oracle.stored[int(chance.integers(len(oracle.ids)))]
            vector = near + chance.normal(size=dimensions) * float(chance.choice([0.0, 0.02, 1.0]))
            vector = (vector / numpy.linalg.norm(vector)).astype(numpy.float32)
            body["vector"] = [float(value) for value in vector]
        if number % 7 == 1:
            body["include"] = ["vector"]
        answer = client.post(f"/v1/collections/{NAME}/search", body).expect(200).json["results"]
        worst = max(worst, compare(oracle, answer, vector, k, condition, verdict, what))
        if "include" in body:
            for hit in answer:
                stored = oracle.stored[oracle.place[hit["id"]]] if hit["id"] in oracle.place else None
                given = numpy.array(hit["vector"], numpy.float32)
                if stored is not None and not numpy.array_equal(given, stored):
                    place = int(numpy.flatnonzero(given != stored)[0])
                    verdict.expect(
                        False,
                        f"{what}: the vector included for {hit['id']} has {hit['vector'][place]} at {place}, "
                        f"stored is {stored[place]}",
                    )
    return {
        "searches": options.searches,
        "filtered": filtered,
        "largest_score_difference": float(worst),
        "searches_per_second": round(options.searches / (time.monotonic() - begin), 1),
    }


def check_stored(client, oracle, rows, verdict):
    """psql and the API see what was sent, all of it, in the order of the ids' bytes."""
    sent = {row["id"]: row for row in rows}
    verdict.expect(sorted(sent) == sorted(oracle.ids), f"psql sees {len(oracle.ids)} of {len(sent)} documents")
    differing = sum(
        oracle.rows[i]["text"] != row["text"] or oracle.rows[i]["metadata"] != row["metadata"]
        for i, row in sent.items()
        if i in oracle.rows
    )
    verdict.expect(differing == 0, f"psql sees {differing} documents that differ from what was sent")
    listed, path = [], f"/v1/collections/{NAME}/documents?limit=1000"
    after = ""
    while True:
        page = client.get(path + after).expect(200).json
        listed += [document["id"] for document in page["data"]]
        if page["next"] is None or len(listed) > len(sent):
            break
        after = f"&after={quoted(page['next'])}"
    verdict.expect(listed == oracle.ids, f"the list has {len(listed)} documents, or another order")
    count = client.get(f"/v1/collections/{NAME}").expect(200).json["documents"]
    verdict.expect(count == len(sent), f"the collection counts {count} documents")


def check_unchanged(server, rows, options, verdict, when):
    before = server.metrics().value(COMPUTED[0], **COMPUTED[1])
    totals, seconds = upsert(server.client(600), rows, options.per_request)
    computed = server.metrics().value(COMPUTED[0], **COMPUTED[1]) - before
    verdict.expect(totals["unchanged"] == len(rows), f"{when}: {totals}")
    verdict.expect(computed == 0, f"{when}: {computed:.0f} tokens were computed")
    return {"computed_tokens": int(computed), "seconds": round(seconds, 2), "unchanged": totals["unchanged"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}')
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--database-url", metavar="URL", help=f"a database to use; the collection {NAME} there is replaced"
    )
    where.add_argument("--pg-bin", metavar="DIR", help="or make a throw-away cluster with this directory's programs")
    parser.add_argument("--psql", metavar="PATH", help="default: the one of --pg-bin, else the one on the PATH")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=240)
    parser.add_argument("--per-request", type=int, default=1_000, help="documents an upsert request")
    parser.add_argument("--seed", type=int, default=8)
    options = parser.parse_args()

    texts = read_texts(options.texts)
    rows = list(documents(texts, options.documents))
    verdict = Verdict("search_exact")
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster(options.pg_bin)) if options.pg_bin else None
        url = cluster.url if cluster else options.database_url
        psql = options.psql or (cluster.psql() if cluster else "psql")
        server = stack.enter_context(
            Server(options.ovenbird, options.model, "--database-url", url, "--migrate", *options.serve_option)
        )
        client = server.client(timeout=600)
        client.delete(f"/v1/collections/{NAME}").expect(200, 204, 404)
        client.put(f"/v1/collections/{NAME}").expect(201)
        client.put(f"/v1/collections/{NAME}").expect(200)
        begin = server.metrics().value(COMPUTED[0], **COMPUTED[1])
        totals, seconds = upsert(client, rows, options.per_request)
        verdict.expect(totals["inserted"] == len(rows), f"the first upsert: {totals}")
        verdict.expect(
            server.metrics().value(COMPUTED[0], **COMPUTED[1]) > begin, f"{COMPUTED} counts the first upsert"
        )
        print(f"{len(rows)} documents in {seconds:.1f} s", flush=True)

        oracle = Oracle(psql, url)
        check_stored(client, oracle, rows, verdict)
        figures = run_searches(client, oracle, texts, options, verdict)
        print(f"searches: {figures}", flush=True)
        again = check_unchanged(server, rows, options, verdict, "the same upsert again")
        server.stop()
        server.start()
        restarted = check_unchanged(server, rows, options, verdict, "the same upsert after a restart")
    return verdict.finish(
        documents=len(rows),
        upsert_seconds=round(seconds, 1),
        documents_per_second=round(len(rows) / seconds, 1),
        **figures,
        same_again=again,
        after_restart=restarted,
    )


if __name__ == "__main__":
    sys.exit(main())
