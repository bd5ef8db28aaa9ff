"""Sends one job again and again under one Idempotency-Key, in every way in which clients come to do so.

One after the other; eight at once; after the client closed its socket without reading; after a proxy cut the answer;
after `kill -9` of the server between the upload and the answer. Claims: each key makes one job, every answer is 202
with the same body; another body or other parameters under a used key are 409, also when they race; the same body
without a key, or under another one, makes another job. In the end each job's documents are there once.
"""

import argparse
import concurrent.futures
import random
import socket
import sys
import tempfile
import threading
import time

import tiny_model
from cluster import Cluster
from jobs import NDJSON, Audit, Submission, wait_for_end
from server import HOST, Server, Verdict, add_server_arguments

COLLECTION = "acceptance-keys"


class CuttingProxy:
    """Before a server: forwards the request, and closes as soon as the answer begins."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.answers = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed
            server = socket.create_connection((HOST, self.target))
            threading.Thread(target=self.forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self.cut, args=(client, server), daemon=True).start()

    @staticmethod
    def forward(client, server):
        try:
            while chunk := client.recv(1 << 16):
                server.sendall(chunk)
        except OSError:
            pass  # cut

    def cut(self, client, server):
        try:
            self.answers += len(server.recv(1)) > 0
        except OSError:
            pass  # the server is gone
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)  # the other thread may still read from it
            except OSError:
                pass  # gone already
            end.close()

    def close(self):
        self.listener.close()


def head(length, key, parameters):
    return (
        f"POST /v1/jobs?{parameters} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {NDJSON}\r\n"
        f"Content-Length: {length}\r\nIdempotency-Key: {key}\r\n\r\n"
    ).encode()


class Desk:
    """Sends jobs, and checks the answers."""

    def __init__(self, server, session, verdict):
        self.server, self.session, self.verdict = server, session, verdict
        self.named = {}  # by key: the job's id

    def post(self, body, key=None, parameters=f"collection={COLLECTION}"):
        client = self.server.client(timeout=120)
        if key is not None:
            client.headers["Idempotency-Key"] = key
        return client.post(f"/v1/jobs?{parameters}", body, NDJSON)

    def accepted(self, replies, key, where):
        """That all are 202 and the same; the job's id."""
        statuses = {reply.status for reply in replies}
        if not self.verdict.expect(statuses == {202}, f"{where}: {statuses} {replies[0].body[:300]}"):
            return None
        bodies = {reply.body for reply in replies}
        self.verdict.expect(len(bodies) == 1, f"{where}: {len(bodies)} different bodies: {sorted(bodies)[:2]}")
        identifier = replies[0].json["id"]
        locations = {reply.headers.get("Location") for reply in replies}
        self.verdict.expect(locations == {f"/v1/jobs/{identifier}"}, f"{where}: Location {locations}")
        if key is not None:
            self.one_job(key, where)
            known = self.named.setdefault(key, identifier)
            self.verdict.expect(known == identifier, f"{where}: the key named {known}, now {identifier}")
        return identifier

    def refused(self, reply, where):
        conflict = reply.status == 409 and reply.json["error"].get("code") == "idempotency_conflict"
        self.verdict.expect(conflict, f"{where}: {reply.status} {reply.body[:300]}")

    def one_job(self, key, where):
        count = self.session.value(
            f"SELECT count(*) FROM ovenbird.jobs WHERE idempotency_key = '{key}' AND state <> 'receiving'"
        )
        self.verdict.expect(count == "1", f"{where}: {count} jobs have the key {key}")

    def send_and_vanish(self, body, key, port=None):
        """Sends a whole request, and closes without reading a byte."""
        with socket.create_connection((HOST, port or self.server.port)) as connection:
            connection.sendall(head(len(body), key, f"collection={COLLECTION}") + body)


def one_after_the_other(desk, body, other):
    first = desk.post(body, "again")
    desk.accepted([first, *(desk.post(body, "again") for _ in range(3))], "again", "one after the other")
    desk.refused(desk.post(other, "again"), "another body")
    desk.refused(desk.post(body, "again", f"collection={COLLECTION}&priority=5"), "another priority")
    desk.refused(desk.post(body, "again", ""), "no collection")
    desk.accepted([desk.post(body, "again")], "again", "after conflicts")
    bare = [desk.accepted([desk.post(body)], None, "without a key") for _ in range(2)]
    another = desk.accepted([desk.post(body, "another")], "another", "another key")
    desk.verdict.expect(len({first.json["id"], another, *bare}) == 4, "other keys, or none, make jobs of their own")
    return first.json["id"]


def at_once(desk, body, other, rounds):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number in range(rounds):
            key = f"at once {number}"
            replies = list(pool.map(lambda _, key=key: desk.post(body, key), range(8)))
            desk.accepted(replies, key, f"eight at once, {number}")
        won = [0, 0]
        for number in range(rounds):
            key = f"race {number}"
            bodies = [body, other] * 4
            replies = list(pool.map(lambda one, key=key: desk.post(one, key), bodies))
            winner = next((place % 2 for place, reply in enumerate(replies) if reply.status == 202), None)
            if not desk.verdict.expect(winner is not None, f"race {number}: nobody won: {replies[0].body[:200]}"):
                continue
            won[winner] += 1
            desk.accepted(replies[winner::2], key, f"race {number}")
            for reply in replies[1 - winner :: 2]:
                desk.refused(reply, f"race {number}, the loser")
    return won


def answer_lost(desk, body, other, rounds, chance):
    for number in range(rounds):
        key = f"vanished {number}"
        desk.send_and_vanish(body, key)
        time.sleep(chance.random() * 0.3)
        desk.accepted([desk.post(body, key), desk.post(body, key)], key, f"vanished {number}")
        desk.refused(desk.post(other, key), f"vanished {number}, another body")
    proxy = CuttingProxy(desk.server.port)
    for number in range(rounds):
        key = f"cut {number}"
        with socket.create_connection((HOST, proxy.port), timeout=60) as connection:
            connection.sendall(head(len(body), key, f"collection={COLLECTION}") + body)
            try:
                desk.verdict.expect(connection.recv(1) == b"", f"cut {number}: the proxy let an answer through")
            except ConnectionResetError:
                pass  # also an end without an answer
        # The answer had begun, so the job was there already.
        desk.one_job(key, f"cut {number}")
        desk.accepted([desk.post(body, key), desk.post(body, key)], key, f"cut {number}")
        desk.refused(desk.post(other, key), f"cut {number}, another body")
    desk.verdict.expect(proxy.answers == rounds, f"{proxy.answers} of {rounds} answers were cut")
    proxy.close()


def server_killed(desk, body, other, rounds, chance):
    """How many of the jobs were there already when the server died."""
    committed = 0
    for number in range(rounds):
        key = f"killed {number}"
        with socket.create_connection((HOST, desk.server.port)) as connection:
            connection.sendall(head(len(body), key, f"collection={COLLECTION}") + body)
            time.sleep(chance.random() * 0.15)
            desk.server.process.kill()
        desk.server.process.wait()
        committed += int(
            desk.session.value(
                f"SELECT count(*) FROM ovenbird.jobs WHERE idempotency_key = '{key}' AND state <> 'receiving'"
            )
        )
        desk.server.start()
        desk.accepted([desk.post(body, key), desk.post(body, key)], key, f"killed {number}")
        desk.refused(desk.post(other, key), f"killed {number}, another body")
    return committed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    parser.add_argument(
        "--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql, with pgvector"
    )
    parser.add_argument("--inputs", type=int, default=2_000, help="a job")
    parser.add_argument("--rounds", type=int, default=10, help="of each way")
    parser.add_argument("--job-limit", type=float, default=300.0, help="seconds until all jobs have ended")
    parser.add_argument("--seed", type=int, default=None, help="as an earlier run printed it")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed: {options.seed}", flush=True)

    verdict, chance = Verdict("job_idempotency"), random.Random(options.seed)
    submission = Submission(options.inputs, options.seed, for_collection=True)
    # The other body has the same ids, so that in the end they do not matter.
    body, other = submission.body(), b"".join(submission.lines[:-1])
    with tempfile.TemporaryDirectory(prefix="ovenbird-tiny-") as folder:
        model = options.model or tiny_model.write(folder, width=64, layers=1)
        with (
            Cluster(options.pg_bin) as cluster,
            Server(
                *[options.ovenbird, model, "--database-url", cluster.url, "--migrate", "--job-lease", 3],
                *options.serve_option,
            ) as server,
        ):
            session = cluster.session()
            server.client().put(f"/v1/collections/{COLLECTION}").expect(201)
            desk = Desk(server, session, verdict)
            first = one_after_the_other(desk, body, other)
            won = at_once(desk, body, other, options.rounds)
            answer_lost(desk, body, other, options.rounds, chance)
            committed = server_killed(desk, body, other, options.rounds, chance)

            # Of one id the latest text wins: one more of ours, so that it is known whose.
            last = desk.accepted([desk.post(body, "last")], "last", "the last")
            client = server.client(timeout=120)
            deadline = time.monotonic() + options.job_limit
            for key, identifier in [*desk.named.items(), ("last", last)]:
                job = wait_for_end(client, identifier, deadline - time.monotonic())
                verdict.expect(job["state"] == "completed", f"the job of '{key}' is {job['state']}")
            desk.accepted([desk.post(body, "again")], "again", "after its end")
            verdict.expect(desk.named["again"] == first, "the first key names the first job to the end")
            Audit(session, client, last, submission, COLLECTION, verdict, "the last job").check(64, options.seed)
            visible, drafts = session.rows(
                "SELECT count(*) FILTER (WHERE state <> 'receiving'), count(*) FILTER (WHERE state = 'receiving') "
                "FROM ovenbird.jobs"
            )[0]
            keys = len(desk.named)
            verdict.expect(int(visible) == keys + 2, f"{visible} jobs for {keys} keys and 2 submissions without one")
            session.close()
    return verdict.finish(
        seed=options.seed,
        keys=keys,
        jobs=int(visible),
        abandoned_drafts=int(drafts),
        races_won=won,
        committed_before_the_kill=committed,
    )


if __name__ == "__main__":
    sys.exit(main())
