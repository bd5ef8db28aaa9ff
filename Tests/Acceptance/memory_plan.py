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
        "max-queued-tokens": 1_048_576,
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

    def of_bytes(self, count):
        unit = self.text(200) + " "
        return (unit * (count // len(unit) + 1))[:count]


def options_of(budget):
    return [part for name, value in budget.items() for part in (f"--{name}", str(value))]


def plan(ovenbird, model, options):
    command = [ovenbird, "plan", "--model", model, "--json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def peak_bytes(process):
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) * 1024


class Load:
    """Clients that keep a server's queue, bodies, parser and connections full until they are stopped."""

    def __init__(self, server, budget, texts):
        self.server, self.budget, self.texts = server, budget, texts
        self.stopped = threading.Event()
        self.statuses = {}
        self.lock = threading.Lock()
        self.threads = []

    def run(self, seconds):
        crowd, bodies = self.crowd(), self.bodies()
        long_clients = self.budget["max-buffered-body-bytes"] // self.budget["max-body-bytes"] + 2
        crowd_clients = self.budget["max-queued-texts"] // self.budget["max-inputs"] + 2
        idle = self.open_connections(self.budget["max-connections"] - long_clients - crowd_clients - 4)
        for number in range(crowd_clients):
            self.start(self.repeat, [crowd[number % len(crowd)]])
        for _ in range(long_clients):
            self.start(self.repeat, bodies)
        self.start(self.repeat, [self.numbers()])
        time.sleep(seconds)
        self.stopped.set()
        for connection in idle:
            connection.close()

    def start(self, target, arguments):
        thread = threading.Thread(target=target, args=(arguments,), daemon=True)
        thread.start()
        self.threads.append(thread)

    def crowd(self):
        """Requests that together hold as many texts, and as many tokens, as the queue takes."""
        tokens = self.budget["max-queued-tokens"] // self.budget["max-queued-texts"]
        count = self.budget["max-queued-texts"] // self.budget["max-inputs"]
        bodies = [{"input": [self.texts.text(tokens) for _ in range(self.budget["max-inputs"])]} for _ in range(count)]
        return [json.dumps(body).encode() for body in bodies]

    def bodies(self):
        """The longest bodies, each of one text, which the model cuts."""
        text = self.texts.of_bytes(self.budget["max-body-bytes"] - 100)
        return [json.dumps({"input": text, "priority": "bulk"}).encode()]

    def numbers(self):
        """The longest list of numbers that a body may be."""
        size = self.budget["max-body-bytes"] - 100
        count = min(size // 2, (1 << 21) - 16)
        body = b'{"token_ids":"model","input":[' + b"1," * (count - 1) + b"1]"
        return body + b" " * (size - len(body)) + b"}"

    def open_connections(self, count):
        connections = []
        for _ in range(count):
            connection = socket.create_connection((HOST, self.server.port))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.recv(4096)
            connections.append(connection)
        return connections

    def repeat(self, bodies):
        client = self.server.client(timeout=600)
        while not self.stopped.is_set():
            for body in bodies:
                try:
                    status = client.post("/v1/embeddings", body).status
                except OSError:
                    status = 0
                with self.lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                if status != 200:
                    time.sleep(0.05)


def measure(options, model, is_tiny, name, budget, verdict):
    settings = [*options_of(budget), *options.serve_option]
    foretold = plan(options.ovenbird, model, settings)
    with Server(options.ovenbird, model, *settings) as server:
        idle = server.resident_bytes()
        load = Load(server, budget, Texts(is_tiny))
        load.run(options.seconds)
        peak = peak_bytes(server.process)
        alive = server.alive()
        server.process.kill()  # what waits in its queue is of no use to anybody
    error = foretold["peak_bytes"] / peak - 1
    shape = "tiny" if is_tiny else "model"
    verdict.expect(alive, f"{shape}, {name}: the server lives")
    verdict.expect(abs(error) <= 0.10, f"{shape}, {name}: predicted {foretold['peak_bytes']} of {peak}: {error:+.1%}")
    figures = {
        "model": shape,
        "budget": name,
        "predicted_idle_mib": round(foretold["idle_bytes"] / MIB, 1),
        "idle_mib": round(idle / MIB, 1),
        "predicted_peak_mib": round(foretold["peak_bytes"] / MIB, 1),
        "peak_mib": round(peak / MIB, 1),
        "error_percent": round(100 * error, 1),
        "statuses": load.statuses,
    }
    print(json.dumps(figures), file=sys.stderr, flush=True)
    return figures


def refuse(options, verdict):
    """Below the need."""
    budget = BUDGETS["medium"]
    need = plan(options.ovenbird, options.model, options_of(budget))["peak_bytes"]
    limit = need * 3 // 4
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
                json.dumps({"input": [texts.text(texts.chance.choice((8, 16, 32, 64, 128))) for _ in range(16)]}).encode()
                for _ in range(256)
            ]
            capacity = closed_loop(server, bodies, seconds=5)
            counts = open_loop(server, bodies, 4 * capacity / 16, options.seconds, verdict)
            peak = peak_bytes(server.process)
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
            number += 8

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
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
    parser.add_argument("--seconds", type=float, default=20, help="of load for each setting, and of the flood")
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
