"""What the acceptance programs share: `ovenbird serve` as a child process, a keep-alive client, metrics, and the
verdict.
"""

import base64
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

HOST = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Server:
    """One `ovenbird serve` on a free loopback port; use it as a context, `stop` and `start` again to restart it."""

    def __init__(self, ovenbird, model, *options, key=None, start_limit=120):
        self.command = [os.path.abspath(ovenbird), "serve", "--model", model, "--host", HOST]
        self.options = [str(option) for option in options]
        self.key = key
        self.start_limit = start_limit  # seconds
        self.log = tempfile.NamedTemporaryFile(prefix="ovenbird-serve-", suffix=".log", delete=False)
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is None:
            os.unlink(self.log.name)
        else:
            print(f"the server's log: {self.log.name}", file=sys.stderr)

    def start(self, port=None):
        self.port = port or free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}
        self.process = subprocess.Popen(
            [*self.command, "--port", str(self.port), *self.options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + self.start_limit
        while True:
            try:
                if self.client(timeout=5).get("/readyz").status == 200:
                    return
            except OSError:
                pass  # not listening yet
            except http.client.HTTPException:
                pass
            if self.process.poll() is not None:
                raise SystemExit(f"serve ended with status {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"serve was not ready within {self.start_limit} s:\n{self.log_tail()}")
            time.sleep(0.1)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            print("serve outlived SIGTERM by 40 s and is killed", file=sys.stderr)
            self.process.kill()
            self.process.wait()

    def alive(self):
        return self.process.poll() is None

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def client(self, timeout=60):
        return Client(self.port, self.key, timeout)

    def log_tail(self):
        with open(self.log.name, errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def metrics(self):
        reply = self.client().get("/metrics")
        if reply.status != 200:
            raise SystemExit(f"/metrics answered {reply.status}")
        return Metrics(reply.body.decode())


class Reply:
    """`headers` is case-insensitive; `json` parses the body anew at each use."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def expect(self, *statuses):
        if self.status not in statuses:
            raise SystemExit(f"expected {statuses}, got {self.status}: {self.body[:500].decode(errors='replace')}")
        return self


class Client:
    """One keep-alive connection, for one thread. A request is repeated once if the kept connection turns out closed."""

    def __init__(self, port, key=None, timeout=60):
        self.connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method, path, body=None, content_type="application/json"):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = content_type
        while True:
            reused = self.connection.sock is not None
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                return Reply(response.status, response.headers, response.read())
            except (ConnectionError, http.client.RemoteDisconnected):
                self.connection.close()
                if not reused:
                    raise
            except Exception:
                self.connection.close()
                raise

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body, content_type="application/json"):
        return self.request("POST", path, body, content_type)

    def put(self, path, body=None):
        return self.request("PUT", path, {} if body is None else body)

    def delete(self, path):
        return self.request("DELETE", path)


class Metrics:
    """One reading of Prometheus text."""

    LINE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.series = []
        for line in text.splitlines():
            if not line.startswith("#") and (match := self.LINE.match(line)):
                self.series.append((match[1], dict(self.LABEL.findall(match[2] or "")), float(match[3])))

    def value(self, name, **labels):
        """The sum of the series of that name whose labels include the given ones; 0 where there is none yet."""
        return sum(
            value
            for series, have, value in self.series
            if series == name and all(have.get(label) == wanted for label, wanted in labels.items())
        )

    def has(self, name):
        return any(series == name for series, _, _ in self.series)


class Verdict:
    """Collects claims that failed; the last line a program prints is its figures as one JSON object."""

    SHOWN = 40

    def __init__(self, program):
        self.program = program
        self.failures = []

    def expect(self, holds, claim):
        if not holds:
            self.failures.append(claim)
            if len(self.failures) <= self.SHOWN:
                print(f"FAILED: {claim}", file=sys.stderr, flush=True)
        return bool(holds)

    def finish(self, **figures):
        print(
            json.dumps(
                {"program": self.program, "passed": not self.failures, "failures": len(self.failures), **figures}
            )
        )
        return 1 if self.failures else 0


def add_server_arguments(parser, model_required=True):
    parser.add_argument("--ovenbird", required=True, metavar="PATH", help="the binary")
    parser.add_argument(
        "--model",
        required=model_required,
        metavar="DIR",
        help="the model's folder" + ("" if model_required else "; default: a tiny one with random weights"),
    )
    parser.add_argument(
        "--serve-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="a further option for `ovenbird serve`, repeatable: --serve-option=--threads=2",
    )


def read_texts(path, limit=None):
    """The `text` of each NDJSON line."""
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file if line.strip()]
    return texts[:limit]


def quoted(part):
    """One path component, percent-encoded whole."""
    return urllib.parse.quote(part, safe="")


def decode_vector(text):
    import numpy

    return numpy.frombuffer(base64.b64decode(text, validate=True), "<f4")
