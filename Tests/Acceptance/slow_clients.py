"""Clients that send or read too slowly, and how a server's deadline shows itself to them."""

import json
import socket
import time

from hostile_connections import LINE
from hostile_requests import COLLECTION, DOCUMENTS, EMBEDDINGS, JSON, NDJSON, SEARCH, request
from server import HOST


def slow_bodies():
    """Name, the bytes sent at once, the piece sent after each pause, the pause in seconds (None: silence)."""

    def head(path, **rest):
        return request("POST", path, **{"length": 100_000, "headers": [f"Content-Type: {JSON}"], **rest})

    chunked = {"length": None, "headers": ["Transfer-Encoding: chunked", f"Content-Type: {NDJSON}"]}
    lines = {"headers": [f"Content-Type: {NDJSON}"]}
    return [
        ("nothing at all", b"", b"", None),
        ("half a head", b"POST /v1/embeddings HTTP/1.1\r\nHost: loc", b"", None),
        ("a head by drips", b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", 0.5),
        ("headers without end", b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n", b"X-Slow: a\r\n", 1),
        ("no body", head(EMBEDDINGS), b"", None),
        ("half a body", head(EMBEDDINGS) + b'{"input":"', b"", None),
        ("a body by drips", head(EMBEDDINGS) + b'{"input":"', b"a", 1),
        ("a body by quick drips", head(EMBEDDINGS) + b'{"input":"', b"a", 0.1),
        ("documents by drips", head(DOCUMENTS) + b'{"documents":[{"id":"slow","text":"', b"a", 1),
        ("a search by drips", head(SEARCH) + b'{"query":"', b"a", 1),
        ("a line by drips", head(DOCUMENTS, **lines) + LINE + b'{"id":"slow","text":"', b"a", 1),
        ("NDJSON, then silence", head(DOCUMENTS, **lines) + LINE, b"", None),
        ("a chunked line by drips", head(DOCUMENTS, **chunked) + b'15\r\n{"id":"slow","text":"\r\n', b"1\r\na\r\n", 1),
        ("a chunk's size by drips", head(DOCUMENTS, **chunked), b"0", 1),
        (
            "a collection by drips",
            request("PUT", COLLECTION, length=100_000, headers=[f"Content-Type: {JSON}"]) + b"{",
            b" ",
            1,
        ),
    ]


def run_slow_body(port, head, piece, pause, limit):
    """(seconds, what came back) of a client that takes its time; (None, b"") where nobody ended it in time."""
    begin = time.monotonic()
    with socket.create_connection((HOST, port)) as connection:
        try:
            connection.sendall(head)
            while (spent := time.monotonic() - begin) < limit:
                connection.settimeout(min(pause or limit, limit - spent))
                try:
                    return time.monotonic() - begin, connection.recv(65536)  # b"" is a close
                except TimeoutError:
                    connection.sendall(piece)
        except ConnectionError:
            return time.monotonic() - begin, b""
    return None, b""


def run_slow_reader(port, wait, trickle):
    """Asks for 24 answers of a megabyte, reads nothing (or `trickle` bytes a second) for `wait` seconds, then the rest.
    Gives (whole answers received, answers asked for, bytes received); fewer answers mean that the server gave up."""
    body = json.dumps({"input": [f"{n}" for n in range(120)], "encoding_format": "float"}).encode()
    raw = request("POST", EMBEDDINGS, body).replace(b"Connection: close\r\n", b"")
    asked = 24  # at once on one connection: far more than the kernel's buffers take
    received = bytearray()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(15)
        try:
            connection.connect((HOST, port))
            connection.sendall(raw * asked)
            end = time.monotonic() + wait
            while time.monotonic() < end:
                time.sleep(1)
                if trickle:
                    received += connection.recv(trickle)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            while data := connection.recv(1 << 20):
                received += data
        except (ConnectionError, TimeoutError):
            pass  # cut off, as it should be; or silence, and then the count tells
    return received.count(b'"usage"'), asked, len(received)
