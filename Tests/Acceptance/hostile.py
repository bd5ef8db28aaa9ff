"""Sends a hostile set to the server, twice: broken JSON and NDJSON, texts that cannot be stored, numbers out of range,
wrong keys, headers and hosts, quotes, cut connections, and clients that send or read too slowly.

Claims: each request ends in its 4xx (OpenAI's error shape, a message, X-Request-Id) or as its own failed document
between stored neighbours; odd but valid documents are kept to the character; slow bodies and slow readers meet a
deadline (408 or a close); the process lives, and its memory after the second pass is within 10 MB of that after the
first.
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import socket
import sys
import tempfile
import time

import hostile_connections
import hostile_requests
import slow_clients
from hostile_requests import COLLECTION, DOCUMENTS, KEY, NDJSON, SEARCH, post, request
from server import HOST, Reply, Server, Verdict, add_server_arguments, quoted

AT_LEAST = 10
REQUIRED = (
    "slow body",
    "deep JSON",
    "NUL",
    "surrogates",
    "1e400",
    "wrong k",
    "huge ids",
    "filter depth",
    "SQL quotes",
    "key",
    "truncated NDJSON",
)


def exchange(port, raw, half_close=False, timeout=60):
    """The answer to raw bytes; None where the server closed without one. A TimeoutError passes through."""
    with socket.create_connection((HOST, port), timeout=timeout) as connection:
        try:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it answered, or closed, before it had read everything
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            return Reply(response.status, response.headers, response.read())
        except (http.client.HTTPException, ConnectionError):
            return None


def error_shape_fault(reply):
    """What is wrong with an error answer; empty where nothing is."""
    try:
        error = reply.json["error"]
    except (ValueError, KeyError, TypeError):
        return f"not OpenAI's error shape: {reply.body[:120]}"
    if not isinstance(error, dict) or not {"message", "type", "param", "code"} <= set(error):
        return f"an error without its members: {reply.body[:120]}"
    if not isinstance(error["message"], str) or not error["message"].strip():
        return "an error without a message"
    if not reply.headers.get("X-Request-Id"):
        return "no X-Request-Id"
    return ""


class Attack:
    """One pass over all cases against one server."""

    def __init__(self, server, cases, verdict, label):
        self.server, self.cases, self.verdict, self.label = server, cases, verdict, label

    def run(self, workers):
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(self.attempt, range(len(self.cases))))
        reply = self.send(request("GET", f"{DOCUMENTS}/bad"))
        self.expect(reply and reply.status == 404, "a failed document was stored", reply)

    def attempt(self, number):
        case = self.cases[number]
        try:
            fault = getattr(self, case.kind)(case, number)
        except Exception as error:
            fault = repr(error)
        self.verdict.expect(not fault, f"{self.label}: {case.group}: {case.name}: {fault}")

    def expect(self, holds, claim, reply):
        got = "closed without an answer" if reply is None else f"{reply.status} {reply.body[:160]}"
        return self.verdict.expect(holds, f"{self.label}: {claim}: {got}")

    def send(self, raw, **rest):
        return exchange(self.server.port, raw, **rest)

    def refused(self, case, number):
        reply = self.send(case.raw, half_close=case.half_close)
        if reply is None:
            return "" if case.may_close else "closed without an answer"
        if reply.status not in case.statuses:
            return f"{reply.status} instead of {case.statuses}: {reply.body[:160]}"
        if case.contains and case.contains not in reply.body.decode(errors="replace"):
            return f"the message lacks {case.contains}: {reply.body[:200]}"
        return error_shape_fault(reply)

    def alone(self, case, number):
        sides = {f"{number}-{side}": f"the {side} neighbour of number {number}" for side in ("left", "right")}
        left, right = (json.dumps({"id": identifier, "text": text}).encode() for identifier, text in sides.items())
        if case.line:
            raw = request("POST", DOCUMENTS, b"\n".join((left, case.bad, right)), content_type=NDJSON)
        else:
            raw = request("POST", DOCUMENTS, b'{"documents":[' + b",".join((left, case.bad, right)) + b"]}")
        reply = self.send(raw)
        if reply is None or reply.status != 200:
            return f"did not fail alone: {reply and (reply.status, reply.body[:160])}"
        answer = reply.json
        stored, errors = answer["inserted"] + answer["updated"] + answer["unchanged"], answer["errors"]
        if answer["failed"] != 1 or stored != 2:
            return f"{answer['failed']} failed, {stored} stored"
        if len(errors) != 1 or errors[0]["index"] != 1 or not errors[0]["message"]:
            return f"errors: {str(errors)[:200]}"
        for identifier, text in sides.items():
            reply = self.send(request("GET", f"{DOCUMENTS}/{identifier}"))
            if reply is None or reply.status != 200 or reply.json["text"] != text:
                return f"{identifier} was not stored: {reply and (reply.status, reply.body[:160])}"
        return ""

    def kept(self, case, number):
        identifier, text, field = case.odd, f"{case.odd} and words", "key " + case.odd.replace(".", "")
        metadata, path = {field: case.odd}, f"{DOCUMENTS}/{quoted(case.odd)}"
        steps = [
            (
                "upsert",
                post(DOCUMENTS, {"documents": [{"id": identifier, "text": text, "metadata": metadata}]}),
                200,
                lambda answer: answer["inserted"] == 1 and answer["failed"] == 0,
            ),
            (
                "lookup",
                request("GET", path),
                200,
                lambda answer: (answer["id"], answer["text"], answer["metadata"]) == (identifier, text, metadata),
            ),
            (
                "search",
                post(SEARCH, {"query": case.odd, "k": 10, "filter": {field: case.odd}}),
                200,
                lambda answer: [hit["id"] for hit in answer["results"]] == [identifier],
            ),
            (
                "search beside it",
                post(SEARCH, {"query": case.odd, "filter": {field: f"{case.odd} "}}),
                200,
                lambda answer: answer["results"] == [],
            ),
            (
                "delete",
                post(f"{DOCUMENTS}/delete", {"filter": {field: case.odd}}),
                200,
                lambda answer: answer["deleted"] == 1,
            ),
            ("lookup after it", request("GET", path), 404, lambda answer: answer["error"]["message"]),
        ]
        for name, raw, status, holds in steps:
            reply = self.send(raw)
            if reply is None or reply.status != status or not holds(reply.json):
                return f"{name}: {reply and (reply.status, reply.body[:160])}"
        return ""


def run_slow_clients(server, options, verdict, label, pool):
    """Starts them all. Their futures give the seconds for which a slow body lasted, 0 for the others."""

    def body(name, head, piece, pause):
        limit = options.slow_limit if head else options.idle_limit
        seconds, answer = slow_clients.run_slow_body(server.port, head, piece, pause, limit)
        ended = seconds is not None and (not answer or answer.split(b"\r\n")[0].split()[1:2] == [b"408"])
        verdict.expect(
            ended,
            f"{label}: slow body: {name}: {f'after {seconds:.0f} s' if seconds else 'no deadline'} {answer[:100]}",
        )
        if answer.startswith(b"HTTP/1.1 408"):
            verdict.expect(
                b"x-request-id:" in answer.lower(), f"{label}: slow body: {name}: a 408 without X-Request-Id"
            )
        return (seconds or limit) if head else 0.0

    def reader(trickle):
        whole, asked, received = slow_clients.run_slow_reader(server.port, options.slow_limit, trickle)
        verdict.expect(
            whole < asked,
            f"{label}: slow reader, {trickle} bytes a second: all {asked} answers ({received} bytes) in its own time",
        )
        return 0.0

    slow = [pool.submit(body, *case) for case in slow_clients.slow_bodies()]
    return slow + [pool.submit(reader, trickle) for trickle in (0, 16, 1024)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument(
        "--database-url",
        default="memory:",
        metavar="URL",
        help="where documents go (default memory:); quotes deserve a real database",
    )
    parser.add_argument(
        "--slow-limit", type=float, default=60.0, help="seconds in which slow clients must have met their deadline"
    )
    parser.add_argument(
        "--idle-limit",
        type=float,
        default=85.0,
        help="seconds in which a connection without a request must be closed",
    )
    parser.add_argument(
        "--memory-limit", type=float, default=10.0, help="MB by which the second pass may grow the process"
    )
    parser.add_argument("--workers", type=int, default=4, help="requests at a time")
    parser.add_argument(
        "--only", metavar="GROUP", help="one group alone, to look into a failure; slow clients are left out"
    )
    options = parser.parse_args()

    cases = []
    for group in hostile_requests.ALL + hostile_connections.ALL:
        group(cases)
    counts = collections.Counter(case.group for case in cases)
    counts["slow body"] = len(slow_clients.slow_bodies())
    verdict = Verdict("hostile")
    for group in REQUIRED:
        verdict.expect(counts[group] >= AT_LEAST, f"{counts[group]} cases of {group}; {AT_LEAST} are wanted")
    if options.only:
        cases = [case for case in cases if case.group == options.only]

    resident, longest = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        key_file = os.path.join(folder, "keys")
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(KEY + "\n")
        migrate = [] if options.database_url == "memory:" else ["--migrate"]
        with Server(
            options.ovenbird,
            options.model,
            "--api-key-file",
            key_file,
            "--database-url",
            options.database_url,
            *migrate,
            *options.serve_option,
            key=KEY,
        ) as server:
            server.client().delete(COLLECTION).expect(200, 204, 404)
            server.client().put(COLLECTION).expect(201)
            for label in ("first pass", "second pass"):
                begin = time.monotonic()
                with concurrent.futures.ThreadPoolExecutor(32) as pool:
                    slow = [] if options.only else run_slow_clients(server, options, verdict, label, pool)
                    Attack(server, cases, verdict, label).run(options.workers)
                    longest = max([longest, *(future.result() for future in slow)])
                verdict.expect(server.alive(), f"{label}: the process lives")
                reply = server.client().post("/v1/embeddings", {"input": "still here"})
                verdict.expect(reply.status == 200, f"{label}: then an embedding gets {reply.status}")
                time.sleep(2)
                resident.append(server.resident_bytes())
                print(
                    f"{label}: {len(cases) + len(slow)} cases in {time.monotonic() - begin:.1f} s, "
                    f"{len(verdict.failures)} failures so far, {resident[-1] / 1e6:.1f} MB",
                    flush=True,
                )
            growth = (resident[1] - resident[0]) / 1e6
            verdict.expect(growth <= options.memory_limit, f"memory grew by {growth:.1f} MB in the second pass")
            server.client().delete(COLLECTION).expect(200, 204)
    return verdict.finish(
        cases=dict(counts),
        resident_mb=[round(size / 1e6, 1) for size in resident],
        growth_mb=round(growth, 2),
        longest_slow_body_seconds=round(longest, 1),
    )


if __name__ == "__main__":
    sys.exit(main())
