"""Streams a million short lines into one job and its results back, through a server that is killed halfway.

`ovenbird serve` does the work itself. Claims: its memory stays within 100 MB of what it was idle, before and after the
restart; after `kill -9` the job goes on where it was, and no segment that was done is touched again; the results come
back in order and complete, as NDJSON and as float16, and both agree with each other and with fresh embeddings.
"""

import argparse
import contextlib
import http.client
import json
import random
import string
import sys
import tempfile
import threading
import time

import numpy

import tiny_model
from cluster import Cluster
from jobs import COSINE, NDJSON
from server import HOST, Server, Verdict, add_server_arguments, decode_vector

MEGABYTE = 1_000_000


class Lines:
    """Line n is the same at every call: three words of two letters, seldom the same twice. For a tokenizer of single
    characters that is eight tokens, for one of words seldom more."""

    def __init__(self, count, seed):
        self.count, self.seed = count, seed
        self.words = [one + other for one in string.ascii_lowercase for other in string.ascii_lowercase]

    def text(self, number):
        state = (number * 6_364_136_223_846_793_005 + self.seed * 1_442_695_040_888_963_407 + 1) % (1 << 64)
        picked = []
        for _ in range(3):
            state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % (1 << 64)
            picked.append(self.words[(state >> 33) % len(self.words)])
        return " ".join(picked)

    def body(self, batch=1_000):
        for start in range(0, self.count, batch):
            numbers = range(start, min(start + batch, self.count))
            yield "".join(f'{{"id":"line-{n}","text":"{self.text(n)}"}}\n' for n in numbers).encode()


class Memory:
    """The most resident memory of the server's process in each phase, sampled ten times a second."""

    def __init__(self, server):
        self.server, self.phase, self.peaks = server, None, {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.stopped.wait(0.1):
            if (phase := self.phase) is not None:
                with contextlib.suppress(OSError, TypeError):  # between two servers there is none
                    self.peaks[phase] = max(self.peaks.get(phase, 0), self.server.resident_bytes())

    def stop(self):
        self.stopped.set()
        self.thread.join()


def idle_bytes(server, lines):
    """After a little of everything, since what a first request leaves behind is no job's doing."""
    client = server.client()
    for start in range(0, 2_048, 256):
        texts = [lines.text(number) for number in range(start, start + 256)]
        client.post("/v1/embeddings", {"input": texts, "encoding_format": "base64"}).expect(200)
    time.sleep(3)
    return server.resident_bytes()


def upload(server, lines):
    """Chunked; the job and the seconds."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=600)
    begin = time.monotonic()
    connection.request(
        *("POST", "/v1/jobs", lines.body()),
        {"Content-Type": NDJSON, "Transfer-Encoding": "chunked"},
        encode_chunked=True,
    )
    response = connection.getresponse()
    body = response.read()
    seconds = time.monotonic() - begin
    if response.status != 202:
        raise SystemExit(f"the upload got {response.status}: {body[:500]}")
    return json.loads(body), seconds


class Progress:
    def __init__(self, server, session, job, limit):
        self.server, self.session, self.job, self.limit = server, session, job, limit
        self.client = server.client()
        self.shown = time.monotonic()

    def wait(self, share):
        """Until that share of the inputs has ended, or the job has."""
        deadline = time.monotonic() + self.limit
        while True:
            self.client = self.server.client()
            job = self.client.get(f"/v1/jobs/{self.job}").expect(200).json
            counts = job["counts"]
            if time.monotonic() > self.shown + 10:
                self.shown = time.monotonic()
                rate, left = job["texts_per_second"], job["eta_seconds"]
                print(f"{job['state']} {counts} {rate} texts/s, {left} s left", file=sys.stderr, flush=True)
            ended = job["ended_at"] is not None
            if ended or (share < 1 and counts["succeeded"] + counts["failed"] >= share * counts["total"]):
                return job
            if time.monotonic() > deadline:
                raise SystemExit(f"after {self.limit} s the job is {job}")
            time.sleep(0.5)

    def segments(self):
        """By id: state, attempt, when it was finished, by which transaction its row was written last."""
        rows = self.session.rows(
            f"""SELECT s.id, s.state, s.attempt, s.finished_at, s.xmin FROM ovenbird.job_segments AS s
            JOIN ovenbird.jobs AS j ON j.id = s.job_id WHERE j.public_id = '{self.job}'"""
        )
        return {row[0]: row[1:] for row in rows}


def rates(rows, size, seconds):
    return {"rows_per_second": round(rows / seconds), "megabytes_per_second": round(size / seconds / MEGABYTE, 1)}


def read_lines(server, job, lines, sampled, verdict):
    """The NDJSON results: rows, seconds, the vectors at the sampled places."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=600)
    begin, wrong, vectors, count, size = time.monotonic(), 0, {}, 0, 0
    connection.request("GET", f"/v1/jobs/{job}/results?format=ndjson")
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"the results got {response.status}: {response.read()[:500]}")
    for line in response:
        size += len(line)
        # Parsing everything would time Python; the order shows in how each line begins.
        wrong += not (line.startswith(b'{"id":"line-%d","embedding":[' % count) and line.endswith(b"]}\n"))
        if count in sampled:
            vectors[count] = json.loads(line)["embedding"]
        count += 1
    seconds = time.monotonic() - begin
    verdict.expect(wrong == 0, f"{wrong} NDJSON lines are out of order or hold no vector")
    verdict.expect(count == lines.count, f"{count} NDJSON lines for {lines.count} inputs")
    return rates(count, size, seconds), vectors


def read_halves(server, job, lines, dimensions, sampled, verdict):
    connection = http.client.HTTPConnection(HOST, server.port, timeout=600)
    begin, vectors, size, width = time.monotonic(), {}, 0, 2 * dimensions
    connection.request("GET", f"/v1/jobs/{job}/results?format=f16")
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"the halves got {response.status}: {response.read()[:500]}")
    rest, row, missing = b"", 0, 0
    while chunk := response.read(1 << 20):
        size += len(chunk)
        rest += chunk
        whole = len(rest) // width
        rows = numpy.frombuffer(rest[: whole * width], "<f2").reshape(whole, dimensions)
        missing += int(numpy.isnan(rows[:, 0]).sum())
        for place in range(row, row + whole):
            if place in sampled:
                vectors[place] = rows[place - row].astype(numpy.float64)
        rest, row = rest[whole * width :], row + whole
    seconds = time.monotonic() - begin
    verdict.expect(size == lines.count * width, f"{size} bytes of halves for {lines.count} inputs")
    verdict.expect(missing == 0, f"{missing} rows are NaN")
    return rates(row, size, seconds), vectors


def compare(server, lines, from_lines, from_halves, verdict):
    """The least cosine between what came back and fresh embeddings."""
    places = sorted(from_lines)
    reply = server.client().post(
        "/v1/embeddings", {"input": [lines.text(place) for place in places], "encoding_format": "base64"}
    )
    fresh = [decode_vector(row["embedding"]).astype(numpy.float16) for row in reply.expect(200).json["data"]]
    least = 1.0
    for place, vector in zip(places, numpy.array(fresh, numpy.float64)):
        written = numpy.array(from_lines[place], numpy.float64)
        half = from_halves.get(place)
        same = half is not None and numpy.array_equal(written.astype(numpy.float16).astype(numpy.float64), half)
        verdict.expect(same, f"line {place}: NDJSON and float16 differ")
        cosine = float(written @ vector / numpy.linalg.norm(written) / numpy.linalg.norm(vector))
        verdict.expect(cosine >= COSINE, f"line {place}: its cosine to a fresh embedding is {cosine}")
        least = min(least, cosine)
    return round(least, 7)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser, model_required=False)
    parser.add_argument(
        "--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql, with pgvector"
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--within", type=float, default=100.0, help="MB above idle")
    parser.add_argument("--job-limit", type=float, default=7_200.0, help="seconds that the job may take")
    parser.add_argument("--sample", type=int, default=256, help="vectors that are compared")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args()

    verdict = Verdict("job_million")
    with tempfile.TemporaryDirectory(prefix="ovenbird-tiny-") as folder:
        lines = Lines(options.lines, options.seed)
        options.model = options.model or tiny_model.write(folder)
        chance = random.Random(options.seed)
        sampled = set(chance.sample(range(lines.count), min(options.sample, lines.count)))
        with (
            Cluster(options.pg_bin) as cluster,
            Server(
                *[options.ovenbird, options.model, "--database-url", cluster.url, "--migrate"], *options.serve_option
            ) as server,
        ):
            session, idle = cluster.session(), {}
            idle["before the restart"] = idle_bytes(server, lines)
            memory = Memory(server)
            memory.phase = "upload"
            job, seconds = upload(server, lines)
            identifier, dimensions = job["id"], job["dimensions"]
            verdict.expect(job["counts"]["total"] == lines.count, f"{job['counts']} for {lines.count} lines")
            figures = {"lines_per_second_in": round(lines.count / seconds)}
            print(f"uploaded: {figures}", flush=True)

            memory.phase = "work"
            progress = Progress(server, session, identifier, options.job_limit)
            begin, at_begin = time.monotonic(), progress.wait(0.0)["counts"]["succeeded"]
            at_kill = progress.wait(0.4)["counts"]["succeeded"]
            figures["texts_per_second"] = round((at_kill - at_begin) / max(time.monotonic() - begin, 0.001))
            before = progress.segments()
            memory.phase = None
            server.process.kill()
            server.process.wait()
            # What was committed in the moment of the kill belongs to the time before.
            before = progress.segments() or before
            done = {segment: row for segment, row in before.items() if row[0] == "done"}
            figures["segments_done_at_kill"], figures["segments"] = len(done), len(before)
            verdict.expect(0 < len(done) < len(before), f"{len(done)} of {len(before)} segments were done at the kill")
            server.start()
            idle["after the restart"] = server.resident_bytes()
            memory.phase = "work after the restart"
            ended = progress.wait(1)
            verdict.expect(ended["state"] == "completed", f"the job is {ended}")
            counts = ended["counts"]
            verdict.expect(counts["succeeded"] == lines.count and counts["failed"] == 0, f"{counts}")
            figures["deduplicated"] = counts["deduplicated"]
            after = progress.segments()
            touched = [segment for segment, row in done.items() if after.get(segment) != row]
            verdict.expect(not touched, f"{len(touched)} segments that were done were touched again")
            again = sum(int(row[1]) > 1 for row in after.values())
            figures["segments_begun_twice"] = again
            leased = sum(row[0] == "running" for row in before.values())
            verdict.expect(again <= leased, f"{again} segments were begun twice, {leased} were leased at the kill")
            print(f"ended: {figures}", flush=True)

            memory.phase = "results as NDJSON"
            figures["ndjson"], from_lines = read_lines(server, identifier, lines, sampled, verdict)
            memory.phase = "results as float16"
            figures["float16"], from_halves = read_halves(server, identifier, lines, dimensions, sampled, verdict)
            memory.stop()
            figures["least_cosine"] = compare(server, lines, from_lines, from_halves, verdict)
            session.close()
    # The second process was not warmed up, so it is held to the first one's idle memory too.
    base = idle["before the restart"]
    growth = {phase: round((peak - base) / MEGABYTE, 1) for phase, peak in memory.peaks.items()}
    for phase, megabytes in growth.items():
        verdict.expect(megabytes <= options.within, f"{phase}: {megabytes} MB above idle")
    return verdict.finish(
        lines=lines.count,
        dimensions=dimensions,
        idle_megabytes={when: round(size / MEGABYTE, 1) for when, size in idle.items()},
        megabytes_above_idle=growth,
        **figures,
    )


if __name__ == "__main__":
    sys.exit(main())
