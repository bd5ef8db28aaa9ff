"""Kills PostgreSQL under a storm of upserts, again and again, and freezes it once.

Each round: client threads upsert one document a request until the round has its acknowledgements; at a random moment
the postmaster gets SIGKILL and is started again a moment later. The last round sends SIGSTOP to all of PostgreSQL and
SIGCONT later. Claims: no request to a storage route takes longer than 5 s or answers anything but success or 503, and
while the database is away it is 503; /v1/embeddings succeeds throughout; upserts succeed again without help; at the
end every acknowledged document is there with its exact text, read through the API and with psql.
"""

import argparse
import random
import sys
import threading
import time

from cluster import Cluster, query
from server import Server, Verdict, add_server_arguments, quoted, read_texts

NAME = "acceptance-kill"
DOCUMENTS = f"/v1/collections/{NAME}/documents"


class Away:
    """The span of time in which the database cannot answer; None where it is there."""

    def __init__(self):
        self.since = self.until = None

    def begin(self):
        self.since, self.until = time.monotonic(), None

    def end(self):
        self.until = time.monotonic()

    def covers(self, begin, end):
        """Whether the whole request lay in it."""
        return self.since is not None and self.since <= begin and (self.until is None or end < self.until)


class Storm:
    """The client threads of one round, what they were told, and how long it took."""

    def __init__(self, server, number, goal, texts, options, verdict):
        self.server, self.number, self.goal, self.texts = server, number, goal, texts
        self.limit, self.verdict = options.limit, verdict
        self.away, self.lock, self.stopped = Away(), threading.Lock(), threading.Event()
        self.acknowledged, self.started = {}, 0
        self.refused = self.repeated = self.embedded = 0
        self.slowest = self.slowest_embedding = 0.0
        self.recovered_at = None
        jobs = [*([self.upsert] * options.clients), self.probe, self.embed]
        self.threads = [threading.Thread(target=self.guarded, args=(job,)) for job in jobs]
        for thread in self.threads:
            thread.start()

    def guarded(self, job):
        try:
            job(self.server.client(timeout=120))
        except Exception as error:
            self.verdict.expect(False, f"round {self.number}: {job.__name__}: {error!r}")

    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def judge(self, what, begin, reply):
        """Whether a storage route succeeded."""
        end = time.monotonic()
        away, seconds = self.away.covers(begin, end), end - begin
        with self.lock:
            self.slowest = max(self.slowest, seconds)
            self.refused += reply.status == 503
        self.verdict.expect(
            seconds <= self.limit, f"round {self.number}: {what} took {seconds:.2f} s for a {reply.status}"
        )
        self.verdict.expect(
            reply.status in (200, 503), f"round {self.number}: {what}: {reply.status} {reply.body[:200]}"
        )
        self.verdict.expect(
            not (away and reply.status == 200), f"round {self.number}: {what} succeeded without a database"
        )
        if reply.status == 503 and what != "readiness":  # whose body is a report, not an error
            message = reply.json.get("error", {}).get("message")
            self.verdict.expect(message, f"round {self.number}: {what}: a 503 without a message: {reply.body[:200]}")
        return reply.status == 200

    def upsert(self, client):
        while not self.stopped.is_set():
            with self.lock:
                if len(self.acknowledged) >= self.goal and self.away.since and self.recovered_at:
                    return
                self.started += 1
                ticket = self.started
            identifier = f"round {self.number}/{ticket}"
            text = f"{self.texts[ticket % len(self.texts)][:120]} · {self.number}.{ticket}"
            attempts = 0
            while not self.stopped.is_set():
                begin = time.monotonic()
                reply = client.post(DOCUMENTS, {"documents": [{"id": identifier, "text": text}]})
                attempts += 1
                if self.judge("an upsert", begin, reply):
                    answer = reply.json
                    stored = answer["inserted"] + answer["updated"] + answer["unchanged"]
                    self.verdict.expect(
                        stored == 1 and answer["failed"] == 0, f"round {self.number}: {reply.body[:200]}"
                    )
                    with self.lock:
                        if stored == 1:
                            self.acknowledged[identifier] = text
                        self.repeated += attempts > 1
                        if self.away.until and not self.recovered_at:
                            self.recovered_at = time.monotonic()
                    break
                time.sleep(0.05)

    def probe(self, client):
        """Other storage routes, one after the other."""
        while not self.stopped.is_set():
            for what, call in (
                ("a lookup", lambda: client.get(f"/v1/collections/{NAME}")),
                ("a list", lambda: client.get(f"{DOCUMENTS}?limit=5")),
                ("a search", lambda: client.post(f"/v1/collections/{NAME}/search", {"query": "bread", "k": 3})),
                ("readiness", lambda: client.get("/readyz?require=storage")),
            ):
                begin = time.monotonic()
                self.judge(what, begin, call())
            time.sleep(0.1)

    def embed(self, client):
        while not self.stopped.is_set():
            begin = time.monotonic()
            reply = client.post(
                "/v1/embeddings", {"input": f"round {self.number}, {self.embedded}", "encoding_format": "base64"}
            )
            self.slowest_embedding = max(self.slowest_embedding, time.monotonic() - begin)
            self.verdict.expect(
                reply.status == 200, f"round {self.number}: an embedding got {reply.status} {reply.body[:200]}"
            )
            self.embedded += 1
            ready = client.get("/readyz")
            self.verdict.expect(
                ready.status == 200, f"round {self.number}: /readyz got {ready.status}; embedding works"
            )
            time.sleep(0.02)

    def wait_for(self, count, limit):
        deadline = time.monotonic() + limit
        while self.count() < count:
            if time.monotonic() > deadline or not self.server.alive():
                self.verdict.expect(
                    False,
                    f"round {self.number}: {self.count()} of {count} acknowledged after {limit} s, "
                    f"server {'alive' if self.server.alive() else 'dead'}",
                )
                return False
            time.sleep(0.005)
        return True

    def finish(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def run_round(server, cluster, number, frozen, chance, texts, options, verdict):
    """One outage; what was acknowledged, and the round's figures."""
    storm = Storm(server, number, options.upserts, texts, options, verdict)
    moment = chance.randrange(options.upserts // 20, options.upserts - options.upserts // 20)
    away = options.frozen if frozen else (options.long_away if number % 5 == 0 else options.away)
    try:
        storm.wait_for(moment, options.round_limit)
        time.sleep(chance.random() * 0.01)  # anywhere in a request's life
        if frozen:
            cluster.freeze()
        else:
            cluster.kill()
        storm.away.begin()
        before = storm.embedded
        time.sleep(away)
        embedded = storm.embedded - before
        storm.away.end()
        if frozen:
            cluster.resume()
        else:
            cluster.start()
        back = time.monotonic()
        storm.wait_for(options.upserts, options.round_limit)
        deadline = time.monotonic() + options.recovery
        while storm.recovered_at is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        storm.finish()
    recovery = storm.recovered_at and round(max(0.0, storm.recovered_at - back), 2)
    verdict.expect(
        recovery is not None and recovery <= options.recovery, f"round {number}: recovery after {recovery} s"
    )
    verdict.expect(embedded > 0, f"round {number}: no embedding while the database was away for {away} s")
    if away > options.limit:
        verdict.expect(storm.refused > 0, f"round {number}: {away} s without a database and no 503")
    row = {
        "round": number,
        "kind": "frozen" if frozen else "killed",
        "at": moment,
        "away_seconds": away,
        "acknowledged": len(storm.acknowledged),
        "repeated": storm.repeated,
        "answers_503": storm.refused,
        "slowest_storage_seconds": round(storm.slowest, 2),
        "recovery_seconds": recovery,
        "embedded_while_away": embedded,
        "slowest_embedding_seconds": round(storm.slowest_embedding, 2),
    }
    print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return storm.acknowledged, row


def check_nothing_lost(server, cluster, acknowledged, verdict):
    client, listed, after = server.client(), {}, ""
    while True:
        page = client.get(f"{DOCUMENTS}?limit=1000{after}").expect(200).json
        listed.update((document["id"], document["text"]) for document in page["data"])
        if page["next"] is None:
            break
        after = f"&after={quoted(page['next'])}"
    stored = {}
    for line in query(
        cluster.psql(),
        cluster.url,
        f"""SELECT encode(convert_to(id, 'UTF8'), 'hex') || ' '
            || encode(convert_to(text, 'UTF8'), 'hex') FROM ovenbird_views."{NAME}" WHERE embedding IS NOT NULL""",
    ):
        identifier, text = (bytes.fromhex(part).decode() for part in line.split(" "))
        stored[identifier] = text
    for who, seen in (("the API", listed), ("psql", stored)):
        missing = [identifier for identifier in acknowledged if identifier not in seen]
        other = [identifier for identifier, text in acknowledged.items() if seen.get(identifier, text) != text]
        verdict.expect(not missing, f"{who}: {len(missing)} acknowledged documents are missing: {missing[:5]}")
        verdict.expect(not other, f"{who}: {len(other)} acknowledged documents have another text: {other[:5]}")
    verdict.expect(listed == stored, f"the API lists {len(listed)} documents, psql {len(stored)}, or they differ")
    return len(stored)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument(
        "--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql, with pgvector"
    )
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}')
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--upserts", type=int, default=1_000, help="acknowledged a round")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--away", type=float, default=1.0, help="seconds until the killed server is started again")
    parser.add_argument("--long-away", type=float, default=8.0, help="the same, in every fifth round")
    parser.add_argument(
        "--frozen", type=float, default=15.0, help="seconds of SIGSTOP in the last round; 0 leaves it out"
    )
    parser.add_argument("--limit", type=float, default=5.0, help="seconds in which a storage route must answer")
    parser.add_argument("--recovery", type=float, default=30.0, help="seconds until upserts succeed again")
    parser.add_argument(
        "--round-limit", type=float, default=300.0, help="seconds a round may take to collect its upserts"
    )
    parser.add_argument("--seed", type=int, default=9)
    options = parser.parse_args()

    texts, chance, verdict = read_texts(options.texts), random.Random(options.seed), Verdict("postgres_kill")
    acknowledged, rows = {}, []
    with (
        Cluster(options.pg_bin) as cluster,
        Server(
            options.ovenbird, options.model, "--database-url", cluster.url, "--migrate", *options.serve_option
        ) as server,
    ):
        server.client().put(f"/v1/collections/{NAME}").expect(201)
        for number in range(1, options.rounds + (options.frozen > 0) + 1):
            known, row = run_round(server, cluster, number, number > options.rounds, chance, texts, options, verdict)
            acknowledged.update(known)
            rows.append(row)
        verdict.expect(server.alive(), "the server lives")
        stored = check_nothing_lost(server, cluster, acknowledged, verdict)
    return verdict.finish(acknowledged=len(acknowledged), stored=stored, rounds=rows)


if __name__ == "__main__":
    sys.exit(main())
