"""Times bulk jobs into a collection against `ovenbird bench` on the same texts: bench, job, bench, job, …

The set is used several times over, each time with another beginning, so that no text is known already: an end may be
cut at the model's limit, and what is left is computed once where it waits twice. A job's time is the database's, from
its first claim to its end; the collection is made anew for each. Claim: the median job embeds and stores at least 95 %
of the texts a second that the median bench only embeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from cluster import Cluster
from jobs import NDJSON, wait_for_end
from server import Server, Verdict, add_server_arguments, read_texts

COLLECTION = "acceptance-throughput"


def bench(options, path):
    """Texts a second."""
    command = [os.path.abspath(options.ovenbird), "bench", "--model", options.model, "--input", path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}
    result = subprocess.run(
        [*command, "--layout", "packed", "--json", *options.bench_option],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(result.stdout.splitlines()[-1])["texts_per_second"]


def job(server, session, body, count, options, verdict):
    """Texts a second of one job; its collection holds them afterwards, and is dropped."""
    client = server.client(timeout=300)
    client.put(f"/v1/collections/{COLLECTION}").expect(201)
    reply = client.post(f"/v1/jobs?collection={COLLECTION}", body, NDJSON).expect(202)
    identifier = reply.json["id"]
    ended = wait_for_end(client, identifier, options.job_limit)
    counts = ended["counts"]
    verdict.expect(
        ended["state"] == "completed" and counts["succeeded"] == count and counts["deduplicated"] == 0,
        f"a job ended as {ended}",
    )
    seconds, table = session.rows(
        f"""SELECT extract(epoch FROM ended_at - started_at), collection_id FROM ovenbird.jobs
        WHERE public_id = '{identifier}'"""
    )[0]
    stored = session.value(
        f"""SELECT count(*) FROM ovenbird.documents_{table} AS d
        JOIN ovenbird.vectors_{table} AS v ON v.document_id = d.id"""
    )
    verdict.expect(stored == str(count), f"{stored} documents for {count} texts")
    client.delete(f"/v1/jobs/{identifier}").expect(200)
    client.delete(f"/v1/collections/{COLLECTION}").expect(200)
    return count / float(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument(
        "--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql, with pgvector"
    )
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}')
    parser.add_argument("--times", type=int, default=3, help="how many times over the set is used")
    parser.add_argument("--rounds", type=int, default=5, help="of a bench and a job")
    parser.add_argument("--least", type=float, default=0.95)
    parser.add_argument("--job-limit", type=float, default=1_800.0, help="seconds a job may take")
    parser.add_argument(
        "--bench-option", action="append", default=[], metavar="OPTION", help="as --serve-option, for the bench"
    )
    options = parser.parse_args()

    verdict, rates = Verdict("job_throughput"), {"bench": [], "job": []}
    distinct = list(dict.fromkeys(read_texts(options.texts)))
    texts = [f"{turn}: {text}" for turn in range(options.times) for text in distinct]
    lines = [
        json.dumps({"id": f"doc-{number}", "text": text, "metadata": {"number": number}}) + "\n"
        for number, text in enumerate(texts)
    ]
    body = "".join(lines).encode()
    with (
        tempfile.NamedTemporaryFile("wb", suffix=".ndjson") as file,
        Cluster(options.pg_bin) as cluster,
        Server(
            *[options.ovenbird, options.model, "--database-url", cluster.url, "--migrate"], *options.serve_option
        ) as server,
    ):
        file.write(body)
        file.flush()
        session = cluster.session()
        for number in range(options.rounds):
            # Who goes first changes, lest one always has the warmer machine.
            for kind in ("bench", "job") if number % 2 == 0 else ("job", "bench"):
                time.sleep(2)  # PostgreSQL may still be at what the last job left it to do
                if kind == "bench":
                    rates[kind].append(bench(options, file.name))
                else:
                    rates[kind].append(job(server, session, body, len(texts), options, verdict))
                print(f"round {number + 1}: {kind} {rates[kind][-1]:.1f} texts/s", flush=True)
        session.close()
    medians = {kind: statistics.median(values) for kind, values in rates.items()}
    ratio = medians["job"] / medians["bench"]
    verdict.expect(ratio >= options.least, f"a job runs at {ratio:.3f} of the bench")
    return verdict.finish(
        texts=len(texts),
        ratio=round(ratio, 3),
        medians={kind: round(value, 1) for kind, value in medians.items()},
        runs={kind: [round(value, 1) for value in values] for kind, values in rates.items()},
    )


if __name__ == "__main__":
    sys.exit(main())
