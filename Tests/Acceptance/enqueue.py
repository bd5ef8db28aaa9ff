"""Documents from SQL, while workers are killed.

Sessions of psql carry out transactions that call ovenbird.enqueue for ids they share, and one id of their own; a third
is rolled back, others roll back to a savepoint in the middle. Each call is noted in a table of ours by its own
transaction, at a moment at which nobody else can enqueue that id: so the notes say what was committed, and in which
order, without the product's word for it. Meanwhile `ovenbird worker` processes get SIGKILL and are replaced. Claims: in
the end the collection holds exactly the committed ids, each with the text committed last and that text's vector (cosine
with /v1/embeddings at least 0.9999); every job of the documents is completed without an error; nothing waits.
"""

import argparse
import random
import sys
import tempfile
import threading
import time

import numpy

import tiny_model
from cluster import Cluster
from jobs import COSINE, Worker
from server import Server, Verdict, add_server_arguments, decode_vector

NAME = "acceptance-enqueue"
WORDS = """amber basket candle desert engine feather garden harbour island jungle kettle lantern meadow needle orchard
    pepper quarry ribbon saddle timber umbrella velvet window yellow zebra""".split()


class Counter:
    """Shared by the threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.committed, self.rolled_back, self.calls = set(), 0, 0


def carry_out(session, chance, number, options, counter):
    """One transaction of the seeded plan."""
    shared = sorted(chance.sample(range(options.ids), chance.randint(1, 4)))  # in one order, so that none deadlocks
    ids = [*(f"shared-{position}" for position in shared), f"own-{number}"]
    rolls_back, partly = chance.random() < 1 / 3, chance.random() < 0.1
    statements = ["BEGIN"]
    for place, identifier in enumerate(ids):
        text = f"{' '.join(chance.choices(WORDS, k=chance.randint(3, 12)))} {number}.{place}"
        undone = partly and place == 0
        if undone:
            statements.append("SAVEPOINT before")
        statements.append(
            f"""SELECT FROM ovenbird.enqueue('{NAME}', '{identifier}', '{text}', '{{"transaction": {number}}}')"""
        )
        statements.append(
            f"INSERT INTO public.notes VALUES ('{identifier}', '{text}', {number}, clock_timestamp())"
        )
        if undone:
            statements.append("ROLLBACK TO before")
        if chance.random() < 0.1:
            statements.append("SELECT FROM pg_sleep(0.02)")
    statements.append("ROLLBACK" if rolls_back else "COMMIT")
    session.rows(";\n".join(statements))
    with counter.lock:
        counter.calls += len(ids)
        if rolls_back:
            counter.rolled_back += 1
        else:
            counter.committed.add(number)


def storm(cluster, options, verdict, counter):
    """Threads that carry the transactions out, spread over `--seconds`."""

    def work(first):
        session = cluster.session()
        try:
            for number in range(first, options.transactions, options.sessions):
                chance = random.Random(f"{options.seed} {number}")
                time.sleep(chance.uniform(0, 2) * options.seconds * options.sessions / options.transactions)
                carry_out(session, chance, number, options, counter)
        except (Exception, SystemExit) as error:
            verdict.expect(False, f"a session: {error!r}")
        finally:
            session.close()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(options.sessions)]
    for thread in threads:
        thread.start()
    return threads


def unfinished(session):
    """Documents and jobs that wait."""
    return session.value(
        """
        SELECT (SELECT count(*) FROM ovenbird.enqueued_documents) + (
            SELECT count(*) FROM ovenbird.jobs WHERE state NOT IN ('completed', 'cancelled', 'failed'))
        """
    )


def check_documents(session, client, verdict):
    expected = dict(session.rows("SELECT DISTINCT ON (id) id, text FROM public.notes ORDER BY id, at DESC"))
    stored = {
        identifier: (text, embedding)
        for identifier, text, embedding in session.rows(f'SELECT id, text, embedding FROM ovenbird_views."{NAME}"')
    }
    superfluous, missing = sorted(stored.keys() - expected.keys()), sorted(expected.keys() - stored.keys())
    verdict.expect(not superfluous, f"{len(superfluous)} documents were never committed, as {superfluous[:5]}")
    verdict.expect(not missing, f"{len(missing)} documents are missing, as {missing[:5]}")
    ids = sorted(expected.keys() & stored.keys())
    stale = [identifier for identifier in ids if stored[identifier][0] != expected[identifier]]
    verdict.expect(not stale, f"{len(stale)} documents hold another text than was committed last, as {stale[:5]}")

    def embed(texts):
        vectors = []
        for start in range(0, len(texts), 64):
            body = {"input": texts[start : start + 64], "encoding_format": "base64"}
            data = client.post("/v1/embeddings", body).expect(200).json["data"]
            vectors += [decode_vector(item["embedding"]) for item in data]
        return numpy.array(vectors)

    fresh = embed([expected[identifier] for identifier in ids])
    kept = numpy.array([numpy.array(stored[identifier][1].strip("[]").split(","), float) for identifier in ids])
    kept /= numpy.linalg.norm(kept, axis=1, keepdims=True)
    cosines = (fresh * kept).sum(axis=1)
    verdict.expect(
        len(ids) > 0 and cosines.min() >= COSINE,
        f"{(cosines < COSINE).sum()} vectors are not their texts', the worst at {cosines.min():.6f}",
    )
    # The neighbour's vector, to see that another text's would have been noticed.
    others = (fresh * numpy.roll(kept, 1, axis=0)).sum(axis=1)
    verdict.expect(others.max() < COSINE, f"vectors of different texts are alike: {others.max():.6f}")
    overwritten = session.value(
        "SELECT count(*) FROM (SELECT id FROM public.notes GROUP BY id HAVING count(*) > 1) AS several"
    )
    return {
        "documents": len(ids),
        "committed_more_than_once": int(overwritten),
        "least_cosine": round(float(cosines.min()), 6),
        "greatest_cosine_of_others": round(float(others.max()), 6),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    parser.add_argument("--pg-bin", required=True, metavar="DIR", help="PostgreSQL's programs, with pgvector")
    parser.add_argument("--transactions", type=int, default=1_000)
    parser.add_argument("--ids", type=int, default=150, help="how many ids the transactions share (default 150)")
    parser.add_argument("--sessions", type=int, default=6, help="sessions at once (default 6)")
    parser.add_argument("--seconds", type=float, default=20, help="over which they are spread (default 20)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=12, help="at least so many workers are killed (default 12)")
    parser.add_argument("--lease", type=int, default=3, help="seconds (default 3)")
    parser.add_argument("--limit", type=float, default=180, help="seconds for what is left at the end (default 180)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    verdict, counter, chance = Verdict("enqueue"), Counter(), random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="ovenbird-model-") as folder, Cluster(options.pg_bin) as cluster:
        model = options.model or tiny_model.write(folder)
        storage = ["--database-url", cluster.url]
        with Server(
            options.ovenbird, model, *storage, "--migrate", "--job-workers", "0", *options.serve_option
        ) as server:
            client = server.client()
            client.put(f"/v1/collections/{NAME}").expect(201)
            session = cluster.session()
            session.rows("CREATE TABLE public.notes (id text, text text, transaction int, at timestamptz)")
            workers = [
                Worker(
                    *(options.ovenbird, model, cluster.url, "--job-lease", options.lease, "--job-poll", "100"),
                    name=f"worker-{number}",
                )
                for number in range(options.workers)
            ]
            for worker in workers:
                worker.start()
            kills = kills_under_lease = 0
            try:
                threads = storm(cluster, options, verdict, counter)
                while any(thread.is_alive() for thread in threads) or kills < options.kills:
                    time.sleep(chance.uniform(0.2, 1.5))
                    worker = chance.choice(workers)
                    verdict.expect(worker.alive(), f"{worker.name} ended by itself")
                    leased = session.value("SELECT count(*) FROM ovenbird.job_segments WHERE state = 'running'")
                    kills_under_lease += leased != "0"
                    worker.kill()
                    kills += 1
                    worker.start()
                for thread in threads:
                    thread.join()
                end = time.monotonic()
                while unfinished(session) != "0" and time.monotonic() - end < options.limit:
                    time.sleep(0.1)
                settled = time.monotonic() - end
                verdict.expect(unfinished(session) == "0", f"something still waits after {settled:.0f} s")
            finally:
                for worker in workers:
                    worker.__exit__(*sys.exc_info())
            noted = {int(row[0]) for row in session.rows("SELECT DISTINCT transaction FROM public.notes")}
            verdict.expect(noted == counter.committed, "the notes are not those of the committed transactions")
            verdict.expect(
                len(counter.committed) + counter.rolled_back == options.transactions, "not every transaction ran"
            )
            wrong = session.rows(
                """
                SELECT state, total, succeeded, failed FROM ovenbird.jobs
                WHERE source <> 'sql' OR state <> 'completed' OR succeeded <> total
                """
            )
            verdict.expect(not wrong, f"{len(wrong)} jobs did not complete whole, as {wrong[:3]}")
            figures = check_documents(session, client, verdict)
            jobs, inputs, attempts = session.rows(
                """
                SELECT count(*), sum(total), (SELECT max(attempt) FROM ovenbird.job_segments) FROM ovenbird.jobs
                """
            )[0]
            session.close()
    return verdict.finish(
        transactions=options.transactions,
        rolled_back=counter.rolled_back,
        calls=counter.calls,
        kills=kills,
        kills_with_a_lease_held=kills_under_lease,
        jobs=int(jobs),
        inputs=int(inputs),
        most_attempts=int(attempts),
        settled_seconds=round(settled, 1),
        **figures,
    )


if __name__ == "__main__":
    sys.exit(main())
