"""What the programs that need a load share: `ovenbird loadtest` and `ovenbird bench` as child processes, and how the
generator is pinned.

Generator and server share the machine. By default neither is pinned and both run at niceness 0; the options below say
otherwise, and every program prints which it was.
"""

import json
import math
import os
import statistics
import subprocess
import tempfile
import threading
import time

from server import read_texts


def add_load_arguments(parser):
    group = parser.add_argument_group("the generator")
    group.add_argument("--generator-cpus", metavar="LIST", help="pin it to these processors (taskset), as 1 or 0-1")
    group.add_argument("--generator-nice", type=int, default=0, metavar="N", help="its niceness; below 0 as root")


class Generator:
    """Runs `ovenbird loadtest`; `pinning` says how, for the figures."""

    def __init__(self, options):
        self.ovenbird = os.path.abspath(options.ovenbird)
        self.prefix = []
        if options.generator_nice:
            self.prefix += ["nice", "-n", str(options.generator_nice)]
        if options.generator_cpus:
            self.prefix += ["taskset", "-c", options.generator_cpus]
        self.pinning = f"processors {options.generator_cpus or 'all'}, niceness {options.generator_nice}"

    def start(self, url, *arguments):
        return subprocess.Popen(
            [*self.prefix, self.ovenbird, "loadtest", "--url", url, *map(str, arguments), "--json"],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, url, *arguments):
        """The result; a load that nobody answered ends the program."""
        return json.loads(self.text(url, *arguments))

    def text(self, url, *arguments):
        """The result as it is printed, for `--compare`."""
        process = self.start(url, *arguments)
        output, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"loadtest ended with status {process.returncode}: {output[-500:]}")
        return output.splitlines()[-1]


def versions_of(path, count):
    """A file, while it is open, of every text of the set `count` times over, each with another beginning: an end may be cut
    at the model's limit, and what is left is computed once where it waits twice."""
    file = tempfile.NamedTemporaryFile("w", suffix=".ndjson")
    texts = read_texts(path)
    for version in range(count):
        file.writelines(json.dumps({"text": f"{version}: {text}"}) + "\n" for text in texts)
    file.flush()
    return file


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}


def bench(ovenbird, model, texts, *arguments):
    """What `ovenbird bench` prints, in the layout that serves."""
    command = [os.path.abspath(ovenbird), "bench", "--model", model, "--input", texts, "--layout", "packed", "--json"]
    result = subprocess.run(
        [*command, *map(str, arguments)],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def client(result, name):
    """One kind of clients of a result."""
    return next(kind for kind in result["clients"] if kind["name"] == name)


def expect_no_failures(verdict, result, what):
    """No error, and every request answered with vectors."""
    for kind in result["clients"]:
        verdict.expect(
            not kind["errors"] and not kind["refusals"] and not kind["unsent"],
            f"{what}: {kind['name']} has errors {kind['errors']}, refusals {kind['refusals']}, {kind['unsent']} unsent",
        )


def median(values):
    return statistics.median(values)


class ResidentMemory:
    """Reads a process's resident memory ten times a second while it is used as a context."""

    def __init__(self, server):
        self.server = server
        self.samples = []  # (seconds since 1970, bytes)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.over.wait(0.1):
            try:
                self.samples.append((time.time(), self.server.resident_bytes()))
            except OSError:
                return  # it has ended, which others will tell

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def between(self, begin, end):
        return [size for moment, size in self.samples if begin <= moment <= end]


class LatencyProbe:
    """One keep-alive client that asks for one short text after another while it is used as a context, with a pause
    between them, and notes each answer."""

    def __init__(self, server, pause=0.02):
        self.client = server.client(timeout=120)
        self.pause = pause
        self.answers = []  # (seconds since 1970 at the sending, milliseconds, status)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self):
        number = 0
        while not self.over.wait(self.pause):
            number += 1
            body = json.dumps({"input": f"how do birds build nests {number}", "encoding_format": "base64"}).encode()
            moment, begin = time.time(), time.perf_counter()
            try:
                status = self.client.post("/v1/embeddings", body).status
            except OSError:
                status = 0
            self.answers.append((moment, (time.perf_counter() - begin) * 1000, status))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def between(self, begin, end):
        """Milliseconds of those answered with a vector."""
        return [spent for moment, spent, status in self.answers if begin <= moment < end and status == 200]


def quantile(values, share):
    """The least value that this share of all do not exceed; nan where there is none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share - 1e-9) - 1)] if ordered else float("nan")
