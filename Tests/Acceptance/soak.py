"""A crowd of hostile clients beside ordinary ones, round after round: in each, the ordinary clients are measured alone,
then while 2,000 connections are opened and dropped, 1,200 more are opened and kept without a word, and others send half
a body, or send or read one byte a second.

Claims: the ordinary clients, on kept connections and on new ones, are all answered, with a p99 under attack of at most
twice that of the quiet rounds around it; when the crowd is gone nothing of it is left: no descriptor, no connection, no
token in the queue; and memory does not grow over the rounds.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time

import crowd
from server import Server, Verdict, add_server_arguments

MAX_GROWTH = 10 << 20  # bytes of resident memory from the first half of the rounds to the second
QUIET, ATTACK = 15, 45  # seconds of a round; the server's deadlines for the slow are at most 30
PAUSE = 0.02  # seconds between the requests of one ordinary client


class Ordinary(threading.Thread):
    """Asks for one short text at a time until it is told to stop."""

    def __init__(self, server, keeps_connection):
        super().__init__(daemon=True)
        self.server, self.keeps = server, keeps_connection
        self.latencies, self.faults, self.stopping = [], [], threading.Event()
        self.start()

    def run(self):
        client = self.server.client(timeout=30)
        number = 0
        while not self.stopping.is_set():
            number += 1
            begin = time.perf_counter()
            try:
                reply = client.post("/v1/embeddings", {"input": f"a short text, number {number}"})
                if reply.status != 200:
                    self.faults.append(f"{reply.status} {reply.body[:100]}")
            except OSError as error:
                self.faults.append(repr(error))
            self.latencies.append(time.perf_counter() - begin)
            if not self.keeps:
                client.connection.close()
            time.sleep(PAUSE)
        client.connection.close()

    def stop(self):
        self.stopping.set()
        self.join()


def measured(server, seconds, meanwhile=None):
    """What both kinds of ordinary clients saw in so many seconds."""
    clients = {"kept": Ordinary(server, True), "new": Ordinary(server, False)}
    end = time.monotonic() + seconds
    result = meanwhile() if meanwhile else None
    time.sleep(max(0, end - time.monotonic()))
    for client in clients.values():
        client.stop()
    return clients, result


def attacked(server, seconds, seed):
    """Runs the crowd in its own process; what it saw."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=crowd.run, args=(server.port, seconds, seed, results), daemon=True)
    process.start()
    process.join(seconds + 60)
    if process.exitcode != 0:
        process.kill()
        raise SystemExit(f"the crowd ended with {process.exitcode}")
    return results.get()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


class Leftovers:
    """What of the server is there when nobody asks it for anything."""

    def __init__(self, server):
        # Connections that were reset are closed within moments; those of the slow end by the server's own deadlines.
        deadline = time.monotonic() + 5
        while True:
            metrics = server.metrics()
            self.connections = metrics.value("ovenbird_http_connections") - 1  # the one that asks
            self.active = metrics.value("ovenbird_http_active_requests")
            self.queued_tokens = metrics.value("ovenbird_queued_tokens")
            if (self.connections, self.active, self.queued_tokens) == (0, 0, 0) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{server.process.pid}/task"))
        self.resident = server.resident_bytes()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_server_arguments(parser)
    parser.add_argument("--minutes", type=float, default=10, help="of all rounds together (10)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the crowd's moods")
    options = parser.parse_args()
    verdict = Verdict("soak")
    rounds = max(2, round(options.minutes * 60 / (QUIET + ATTACK)))
    latencies = {(kind, when): [] for kind in ("kept", "new") for when in ("quiet", "attacked")}
    seen, leftovers = {}, []
    with Server(options.ovenbird, options.model, *options.serve_option) as server:
        print(f"seed {options.seed}, {rounds} rounds", file=sys.stderr)
        measured(server, QUIET, lambda: attacked(server, QUIET, options.seed))  # warms up, and is not counted
        for number in range(rounds):
            for when in ("quiet", "attacked"):
                if when == "quiet":
                    clients, result = measured(server, QUIET)
                else:
                    clients, result = measured(
                        server, ATTACK, lambda: attacked(server, ATTACK, f"{options.seed}-{number}")
                    )
                for kind, client in clients.items():
                    latencies[kind, when] += client.latencies
                    verdict.expect(not client.faults, f"{kind}, {when}, round {number}: {client.faults[:3]}")
                if result:
                    for name, count in json.loads(result).items():
                        seen[name] = seen.get(name, 0) + count
            rest = Leftovers(server)
            leftovers.append(rest)
            print(f"round {number}: {vars(rest)}", file=sys.stderr, flush=True)
            verdict.expect(server.alive(), "the server ended")
            verdict.expect(
                (rest.connections, rest.active, rest.queued_tokens) == (0, 0, 0), f"left after round {number}: {vars(rest)}"
            )
            verdict.expect(
                rest.descriptors <= leftovers[0].descriptors + 2,
                f"{rest.descriptors} descriptors after round {number}, {leftovers[0].descriptors} after the first",
            )
        metrics = server.metrics()
        ended = {
            "evicted": metrics.value("ovenbird_http_evictions_total"),
            "late_heads": metrics.value("ovenbird_http_errors_total", code="head_timeout"),
            "late_bodies": metrics.value("ovenbird_http_errors_total", code="body_timeout"),
            "slow_readers": metrics.value("ovenbird_http_slow_readers_total"),
        }
    middle = len(leftovers) // 2
    growth = statistics.median(rest.resident for rest in leftovers[middle:]) - statistics.median(
        rest.resident for rest in leftovers[:middle]
    )
    verdict.expect(growth <= MAX_GROWTH, f"memory grew by {growth / 1e6:.1f} MB")
    figures = {}
    for kind in ("kept", "new"):
        quiet, under = (percentile(latencies[kind, when], 0.99) * 1e3 for when in ("quiet", "attacked"))
        figures[f"{kind}_p99_ms"] = {"quiet": round(quiet, 2), "attacked": round(under, 2)}
        figures[f"{kind}_p50_ms"] = {
            when: round(percentile(latencies[kind, when], 0.5) * 1e3, 2) for when in ("quiet", "attacked")
        }
        verdict.expect(under <= 2 * quiet, f"{kind} connections: p99 {under:.2f} ms under attack, {quiet:.2f} ms quiet")
    verdict.expect(seen.get("opened", 0) >= 0.99 * crowd.DROPPED * rounds, f"too few were opened: {seen}")
    verdict.expect(seen.get("silent", 0) >= 0.99 * crowd.SILENT * rounds, f"too few kept silent: {seen}")
    verdict.expect(all(count > 0 for count in ended.values()), f"not all of the slow met their end: {ended}")
    return verdict.finish(
        rounds=rounds,
        seed=options.seed,
        crowd=seen,
        ended=ended,
        resident_growth_bytes=int(growth),
        resident_bytes=[rest.resident for rest in leftovers],
        descriptors=[rest.descriptors for rest in leftovers],
        threads=[rest.threads for rest in leftovers],
        **figures,
    )


if __name__ == "__main__":
    sys.exit(main())
