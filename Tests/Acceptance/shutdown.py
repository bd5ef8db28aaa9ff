"""Stops the server while it works, and leaves it while it works.

Claims: after SIGTERM a running request is answered whole, no other is taken, and the process ends with status 0 within
the drain timeout; work beyond a short one is answered 503, and the process ends then all the same, whatever clients do;
what a client waited for that is gone is dropped before it costs a pass.
"""

import argparse
import http.client
import json
import socket
import sys
import threading
import time

from hostile_requests import JSON
from server import HOST, Server, Verdict, add_server_arguments

WORDS = "the oven is the encoder and the loaves are texts of like length "
SHORT_WORK = [f"{number} {WORDS}" for number in range(2048)]  # seconds
LONG_WORK = [f"{number} {WORDS * 8}" for number in range(2048)]


class Request(threading.Thread):
    """One request on a connection of its own, and what came of it: a status, or None where it was cut."""

    def __init__(self, server, inputs):
        super().__init__()
        self.client, self.inputs, self.status, self.body = server.client(timeout=180), inputs, None, b""
        self.start()

    def run(self):
        try:
            reply = self.client.post("/v1/embeddings", {"input": self.inputs, "dimensions": 8})
            self.status, self.body = reply.status, reply.body
        except (OSError, http.client.HTTPException) as error:
            self.body = repr(error).encode()


def wait_until_busy(server):
    while server.metrics().value("ovenbird_queue_depth") == 0:
        time.sleep(0.05)


def stop(server):
    """The seconds from SIGTERM to the end, and the status."""
    begin = time.monotonic()
    server.process.terminate()
    status = server.process.wait(60)
    return round(time.monotonic() - begin, 2), status


def is_refused(server):
    try:
        return server.client(timeout=5).get("/livez").status == 503
    except (OSError, http.client.HTTPException):
        return True


def check_patient(options, verdict):
    with Server(options.ovenbird, options.model, *options.serve_option, "--drain-timeout=120") as server:
        running, idle = Request(server, SHORT_WORK), socket.create_connection((HOST, server.port))
        wait_until_busy(server)
        server.process.terminate()
        time.sleep(0.3)
        verdict.expect(is_refused(server), "a new request is refused while the running one is finished")
        verdict.expect(server.alive() and running.is_alive(), "there was work left at SIGTERM")
        status = server.process.wait(120)
        running.join()
        idle.close()
        verdict.expect(running.status == 200, f"the running request got {running.status} {running.body[:200]}")
        if running.status == 200:
            verdict.expect(len(json.loads(running.body)["data"]) == len(SHORT_WORK), "the answer is whole")
        verdict.expect(status == 0, f"the process ended with status {status}")


def check_short(options, verdict, half_body):
    """Work for longer than the timeout, and maybe a client whose body never ends. The seconds that SIGTERM took."""
    with Server(options.ovenbird, options.model, *options.serve_option, "--drain-timeout=1") as server:
        running = Request(server, LONG_WORK)
        half = socket.create_connection((HOST, server.port))
        half.sendall(half_body)
        wait_until_busy(server)
        seconds, status = stop(server)
        running.join()
        half.close()
        verdict.expect(running.status == 503, f"beyond the timeout: {running.status} {running.body[:200]}")
        verdict.expect(status == 0, f"--drain-timeout 1: the process ended with status {status}")
        limit = 6 if half_body else 3
        verdict.expect(seconds <= limit, f"--drain-timeout 1: the process ended after {seconds} s")
    return seconds


def check_lost_client(options, verdict):
    with Server(options.ovenbird, options.model, *options.serve_option) as server:
        body = json.dumps({"input": LONG_WORK}).encode()
        lost = socket.create_connection((HOST, server.port))
        lost.sendall(
            f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        wait_until_busy(server)
        lost.close()
        time.sleep(1)
        before = server.metrics()
        time.sleep(2)
        after = server.metrics()
        dropped = after.value("ovenbird_texts_cancelled_total", phase="waiting")
        verdict.expect(dropped > len(LONG_WORK) / 2, f"{dropped:.0f} of {len(LONG_WORK)} waiting texts were dropped")
        tokens = [reading.value("ovenbird_tokens_total", kind="computed") for reading in (before, after)]
        verdict.expect(tokens[0] == tokens[1], f"tokens grew from {tokens[0]:.0f} to {tokens[1]:.0f} for nobody")
        verdict.expect(server.client().post("/v1/embeddings", {"input": "next"}).status == 200, "the next is served")
    return dropped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    options = parser.parse_args()
    verdict = Verdict("shutdown")
    check_patient(options, verdict)
    half_body = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: 1000\r\n\r\n{{"
    )
    seconds = [check_short(options, verdict, sent) for sent in (b"", half_body.encode())]
    dropped = check_lost_client(options, verdict)
    return verdict.finish(seconds_beyond_sigterm=seconds, dropped_texts=int(dropped), texts=len(LONG_WORK))


if __name__ == "__main__":
    sys.exit(main())
