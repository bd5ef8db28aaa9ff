"""`ovenbird plan` foretells the memory that `ovenbird serve` takes, and the server keeps within its limit.

Claims:
- over six settings (two models' shapes, three budgets each) the predicted peak is within 10 % of the greatest resident
  memory (VmHWM) of a server whose queue, batches, bodies and connections are all filled to their limits;
- with a limit below the need `serve` ends with status 64 and says which number to lower to what; with that number it
  starts;
- with a limit just above the need, in a control group of that size where one can be made here, it survives four times
  the load that it can carry: every answer is a 200, or a 429 or 503 with a Retry-After, and VmHWM stays below the limit.

The second model is made with `tiny_model.py`: 768 dimensions, six layers, random weights.
"""

import argparse
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tiny_model
from server import HOST, Server, Verdict, add_server_arguments

SEED = 20261129
MIB = 1 << 20
# As the server has them: values of one body, and bytes of the bodies that it parses several at a time.
MOST_VALUES = 1 << 21
SHORT_BODY = 256 << 10
# Of lists in one another; the parser goes 64 deep.
LIST_DEPTH = 60
# Pieces of their own in BERT's vocabulary.
WORDS = (
    "the of and in to was is for on as with by he at from his it an were are which this also be had first one their "
    "its new after but who not they have her she two been other when time during there into all more school out up "
    "years film state city about where used world only over series team game most family people life public work house"
).split()
BUDGETS = {
    "small": {
        "max-inputs": 256,
        "max-queued-texts": 1_024,
        "max-queued-tokens": 65_536,
        "max-body-bytes": 1 * MIB,
        "max-buffered-body-bytes": 16 * MIB,
        "max-connections": 128,
    },
    "medium": {
        "max-inputs": 1_024,
        "max-queued-texts": 8_192,
        "max-queued-tokens": 262_144,
        "max-body-bytes": 8 * MIB,
        "max-buffered-body-bytes": 96 * MIB,
        "max-connections": 384,
    },
    "large": {
        "max-inputs": 2_048,
        "max-queued-texts": 16_384,
        "max-queued-tokens": 262_144,
        "max-body-bytes": 16 * MIB,
        "max-buffered-body-bytes": 256 * MIB,
        "max-connections": 1_024,
    },
}


class Texts:
    """Texts of a number of tokens, all different; a word, or in the tiny model a letter, is a token."""

    def __init__(self, is_tiny):
        self.is_tiny = is_tiny
        self.chance = random.Random(SEED)
        self.lock = threading.Lock()

    def text(self, tokens):
        count = max(1, tokens - 2)
        with self.lock:
            if self.is_tiny:
                letters = self.chance.choices("abcdefghijklmnopqrstuvwxyz", k=count)
                return " ".join("".join(letters[at : at + 8]) for at in range(0, count, 8))
            return " ".join(self.chance.choices(WORDS, k=count))


def options_of(budget):
    return [part for name, value in budget.items() for part in (f"--{name}", str(value))]


def plan(ovenbird, model, options):
    command = [ovenbird, "plan", "--model", model, "--json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def peak_bytes(process):
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024


class Load:
    """Clients that keep a server's queue, bodies, parsers and connections full, until the queue has been answered."""

    PATIENCE = 600  # seconds

    def __init__(self, server, budget, texts):
        self.server, self.budget, self.texts = server, budget, texts
        self.stopped = threading.Event()
        self.statuses = {}
        self.answered = set()
        self.lock = threading.Lock()
        self.queued_tokens = 0  # at most

    def run(self, seconds):
        """True where each request of the queue was answered."""
        crowd, largest = self.crowd(), self.budget["max-body-bytes"]
        long_clients = self.budget["max-buffered-body-bytes"] // largest + 2
        short_clients = 2 * (os.cpu_count() or 1)
        others = len(crowd) + long_clients + 2 * short_clients + 4
        idle = self.open_connections(self.budget["max-connections"] - others)
        self.answers = threading.Barrier(len(crowd))
        for number, body in enumerate(crowd):
            self.start(f"crowd {number}", body, self.read_late)
        begin = time.monotonic()
        while self.tokens() < 0.9 * self.budget["max-queued-tokens"] and time.monotonic() < begin + 30:
            time.sleep(0.05)
        for number in range(long_clients):
            self.start(f"long {number}", self.costly(largest))
        for number in range(short_clients):
            # What is left of the budget for bodies; and what is parsed where its request runs.
            self.start(f"shorter {number}", self.costly(largest // 4))
            self.start(f"short {number}", self.costly(SHORT_BODY))
        while time.monotonic() < begin + self.PATIENCE:
            self.tokens()
            is_answered = all(f"crowd {number}" in self.answered for number in range(len(crowd)))
            if is_answered and time.monotonic() > begin + seconds:
                break
            time.sleep(0.25)
        self.stopped.set()
        for connection in idle:
            connection.close()
        return is_answered

    def tokens(self):
        tokens = self.server.metrics().value("ovenbird_admitted_tokens")
        self.queued_tokens = max(self.queued_tokens, int(tokens))
        return tokens

    def start(self, name, body, target=None):
        threading.Thread(target=target or self.repeat, args=(name, body), daemon=True).start()

    def crowd(self):
        """Requests that together hold as many texts, and as many tokens, as the queue takes."""
        tokens = self.budget["max-queued-tokens"] // self.budget["max-queued-texts"]
        count = self.budget["max-queued-texts"] // self.budget["max-inputs"]
        bodies = [{"input": [self.texts.text(tokens) for _ in range(self.budget["max-inputs"])]} for _ in range(count)]
        return [json.dumps(body).encode() for body in bodies]

    def costly(self, size):
        """A body of that size and of as many values as it may hold, the costliest there are: lists of one value. It is
        refused once it was parsed, and so takes no place in the queue."""
        unit = b"[" * LIST_DEPTH + b"0" + b"]" * LIST_DEPTH + b","
        head, tail = b'{"input":"","user":[', b"0]"
        room = size - len(head) - len(tail) - 1
        count = min(room // len(unit), (MOST_VALUES - 6) // (LIST_DEPTH + 1))
        body = head + unit * count + tail
        return body + b" " * (size - 1 - len(body)) + b"}"

    def open_connections(self, count):
        """Connections that have carried a body, and are kept open."""
        size = min(MIB, self.budget["max-body-bytes"]) - 100
        body = json.dumps({"input": "", "user": "x" * size}).encode()
        connections = []
        for _ in range(count):
            connection = http.client.HTTPConnection(HOST, self.server.port, timeout=60)
            connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            connections.append(connection)
        return connections

    def read_late(self, name, body):
        """Answers that come together are there together: each is read once all have begun, through a small window,
        since what the system has taken is not the server's any more."""
        connection = http.client.HTTPConnection(HOST, self.server.port, timeout=self.PATIENCE)
        connection._create_connection = narrow_connection
        while not self.stopped.is_set():
            try:
                connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                if response.status == 200 and name not in self.answered:
                    self.answers.wait(25)  # seconds; the server gives a reader 30
                response.read()
                self.note(name, response.status)
            except (OSError, threading.BrokenBarrierError, http.client.HTTPException):
                connection.close()
                self.note(name, 0)

    def repeat(self, name, body):
        client = self.server.client(timeout=self.PATIENCE)
        while not self.stopped.is_set():
            try:
                status = client.post("/v1/embeddings", body).status
            except OSError:
                status = 0
            self.note(name, status)

    def note(self, name, status):
        with self.lock:
            if status == 200:
                self.answered.add(name)
            kind = f"{name.split()[0]} {status}"
            self.statuses[kind] = self.statuses.get(kind, 0) + 1
        if status not in (200, 400):
            time.sleep(0.05)


def narrow_connection(address, timeout, source_address=None):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    connection.settimeout(timeout)
    connection.connect(address)
    return connection


def measure(options, model, is_tiny, name, budget, verdict):
    # Whatever the queue holds is waited for: it is to be filled.
    settings = [*options_of(budget), "--max-queue-wait", "86400", *options.serve_option]
    foretold = plan(options.ovenbird, model, settings)
    with Server(options.ovenbird, model, *settings) as server:
        idle = server.resident_bytes()
        load = Load(server, budget, Texts(is_tiny))
        is_answered = load.run(options.seconds)
        peak = peak_bytes(server.process)
        alive = server.alive()
        server.process.kill()  # what waits in its queue is of no use to anybody
    error = foretold["peak_bytes"] / peak - 1
    shape = "tiny" if is_tiny else "model"
    verdict.expect(alive, f"{shape}, {name}: the server lives")
    verdict.expect(is_answered, f"{shape}, {name}: all of the queue is answered: {load.statuses}")
    filled = load.queued_tokens / budget["max-queued-tokens"]
    verdict.expect(filled > 0.9, f"{shape}, {name}: the queue is filled: {filled:.0%}")
    verdict.expect(abs(error) <= 0.10, f"{shape}, {name}: predicted {foretold['peak_bytes']} of {peak}: {error:+.1%}")
    figures = {
        "model": shape,
        "budget": name,
        "predicted_idle_mib": round(foretold["idle_bytes"] / MIB, 1),
        "idle_mib": round(idle / MIB, 1),
        "predicted_peak_mib": round(foretold["peak_bytes"] / MIB, 1),
        "peak_mib": round(peak / MIB, 1),
        "error_percent": round(100 * error, 1),
        "queue_filled_percent": round(100 * filled),
        "statuses": load.statuses,
    }
    print(json.dumps(figures), file=sys.stderr, flush=True)
    return figures


def refuse(options, verdict):
    """Below the need."""
    budget = BUDGETS["medium"]
    need = plan(options.ovenbird, options.model, options_of(budget))["peak_bytes"]
    limit = need * 9 // 10  # what one number alone can make up for
    settings = [*options_of(budget), "--memory-limit", str(limit), *options.serve_option]
    command = [options.ovenbird, "serve", "--model", options.model, "--port", "0"]
    ended = subprocess.run([*command, *settings], capture_output=True, text=True, timeout=60)
    verdict.expect(ended.returncode == 64, f"status {ended.returncode} and not 64: {ended.stderr}")
    advice = re.search(r"lower --([a-z-]+) from (\d+) to (\d+)", ended.stderr)
    if not verdict.expect(advice, f"a number to lower is named: {ended.stderr}"):
        return {}
    better = options_of({**budget, advice[1]: int(advice[3])})
    with Server(options.ovenbird, options.model, *better, "--memory-limit", str(limit), *options.serve_option) as server:
        verdict.expect(server.alive(), "it starts as it was advised")
    return {"refusal": ended.stderr.strip()}


class ControlGroup:
    """A group of this machine's with a memory limit; `None` as its folder where none can be made."""

    def __init__(self, limit):
        self.folder = None
        with open("/proc/self/cgroup") as file:
            groups = [line.strip().split(":", 2) for line in file]
        for _, controllers, path in groups:
            if "memory" in controllers.split(","):
                self.make(f"/sys/fs/cgroup/memory{path}", "memory.limit_in_bytes", limit)
            elif not controllers and not self.folder:
                self.make(f"/sys/fs/cgroup{path}", "memory.max", limit)

    def make(self, parent, file, limit):
        folder = os.path.join(parent, f"ovenbird-{os.getpid()}")
        try:
            os.mkdir(folder)
            with open(os.path.join(folder, file), "w") as limit_file:
                limit_file.write(str(limit))
            self.folder = folder
        except OSError:
            if os.path.isdir(folder):
                os.rmdir(folder)

    def command(self, command):
        if not self.folder:
            return command
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(self.folder, "cgroup.procs"), *command]

    def remove(self):
        if self.folder:
            os.rmdir(self.folder)


def flood(options, verdict):
    """Just above the need."""
    budget = BUDGETS["medium"]
    need = plan(options.ovenbird, options.model, options_of(budget))["peak_bytes"]
    limit = need * 102 // 100
    group = ControlGroup(limit)
    settings = options_of(budget) if group.folder else [*options_of(budget), "--memory-limit", str(limit)]
    server = Server(options.ovenbird, options.model, *settings, *options.serve_option)
    server.command = group.command(server.command)
    try:
        with server:
            info = server.client().get("/info").json["memory"]
            verdict.expect(abs(info["limit_bytes"] - limit) < 8192, f"/info tells the limit: {info}")
            texts = Texts(False)
            bodies = [
                json.dumps({"input": [texts.text(texts.chance.choice((64, 128, 192, 256))) for _ in range(16)]}).encode()
                for _ in range(256)
            ]
            capacity = closed_loop(server, bodies, seconds=5)
            counts = open_loop(server, bodies, 4 * capacity / 16, options.seconds, verdict)
            peak = peak_bytes(server.process)
            refused = sum(count for status, count in counts.items() if status != 200)
            verdict.expect(refused > 0, f"the flood is more than can be carried: {counts}")
            verdict.expect(server.alive(), "the server lives through the flood")
            verdict.expect(peak <= limit, f"VmHWM {peak} is within the limit {limit}")
            time.sleep(3)
            after = server.resident_bytes()
            verdict.expect(server.client().get("/readyz").status == 200, "it is ready after the flood")
    finally:
        server.stop()
        group.remove()
    return {
        "control_group": bool(group.folder),
        "limit_mib": round(limit / MIB, 1),
        "peak_mib": round(peak / MIB, 1),
        "after_mib": round(after / MIB, 1),
        "capacity_texts_per_second": round(capacity),
        "statuses": counts,
    }


def closed_loop(server, bodies, seconds):
    done, stop = [], time.monotonic() + seconds

    def run(number):
        client = server.client()
        while time.monotonic() < stop:
            client.post("/v1/embeddings", bodies[number % len(bodies)]).expect(200)
            done.append(16)
            number += 16

    threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - begin)


def open_loop(server, bodies, rate, seconds, verdict):
    """Requests at a rate, whatever becomes of those before them; counts of their statuses."""
    begin, counts, lock = time.monotonic(), {}, threading.Lock()
    ticket = iter(range(int(rate * seconds)))

    def run():
        client = server.client(timeout=300)
        while True:
            with lock:
                number = next(ticket, None)
            if number is None:
                return
            time.sleep(max(0, begin + number / rate - time.monotonic()))
            reply = client.post("/v1/embeddings", bodies[number % len(bodies)])
            with lock:
                counts[reply.status] = counts.get(reply.status, 0) + 1
            if reply.status != 200:
                verdict.expect(reply.status in (429, 503), f"a refusal is a 429 or 503: {reply.status}")
                wait = reply.headers.get("Retry-After", "")
                verdict.expect(wait.isdigit() and 1 <= int(wait) <= 120, f"a refusal has a Retry-After: {wait!r}")

    threads = [threading.Thread(target=run) for _ in range(300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--seconds", type=float, default=20, help="of load for each setting at least, and of the flood")
    parser.add_argument("--budget", choices=BUDGETS, action="append", help="only this one, repeatable")
    parser.add_argument("--only", choices=("settings", "refusal", "flood"), help="only these claims")
    options = parser.parse_args()
    options.ovenbird = os.path.abspath(options.ovenbird)
    verdict, figures = Verdict("memory_plan"), {}
    if options.only in (None, "settings"):
        with tempfile.TemporaryDirectory(prefix="ovenbird-model-") as folder:
            tiny = tiny_model.write(folder, width=768, layers=6, positions=512)
            figures["settings"] = [
                measure(options, model, is_tiny, name, budget, verdict)
                for model, is_tiny in ((options.model, False), (tiny, True))
                for name, budget in BUDGETS.items()
                if not options.budget or name in options.budget
            ]
    if options.only in (None, "refusal"):
        figures |= refuse(options, verdict)
    if options.only in (None, "flood"):
        figures["flood"] = flood(options, verdict)
    return verdict.finish(**figures)


if __name__ == "__main__":
    sys.exit(main())
