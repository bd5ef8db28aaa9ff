"""What the programs about jobs share: inputs whose outcome is known beforehand, `ovenbird worker` as a child process,
and the invariants of a job that has ended, checked through the API and behind it with SQL."""

import collections
import json
import os
import random
import signal
import string
import subprocess
import sys
import tempfile
import time

import numpy

from server import decode_vector

NDJSON = "application/x-ndjson"
COSINE = 0.9999


class Worker:
    """One `ovenbird worker`; use it as a context."""

    def __init__(self, ovenbird, model, url, *options, name="worker"):
        self.command = [os.path.abspath(ovenbird), "worker", "--model", model, "--database-url", url]
        self.command += [str(option) for option in options]
        self.name = name
        self.log = tempfile.NamedTemporaryFile(prefix=f"ovenbird-{name}-", suffix=".log", delete=False)
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                print(f"{self.name} outlived SIGTERM by 40 s and is killed", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        if error is None:
            os.unlink(self.log.name)
        else:
            print(f"the log of {self.name}: {self.log.name}", file=sys.stderr)

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OVENBIRD_")}
        self.process = subprocess.Popen(
            self.command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def alive(self):
        return self.process.poll() is None

    def logged(self, text):
        with open(self.log.name, errors="replace") as file:
            return sum(text in line for line in file)


class Submission:
    """A job's lines, and what must become of each.

    Among 100 lines one holds no text, three repeat another's text, and, where it is for a collection, two repeat
    another's id with a text of their own; a tenth bear no id.
    """

    def __init__(self, count, seed, for_collection, words=(3, 20)):
        chance = random.Random(seed)
        lexicon = [
            "".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 9))) for _ in range(500)
        ]
        self.for_collection = for_collection
        self.lines, self.ids, self.texts, self.metadata = [], [], [], []
        for number in range(count):
            text = f"{' '.join(chance.choices(lexicon, k=chance.randint(*words)))} {seed} {number}"
            identifier, metadata, kind = f"doc-{number}", {"number": number}, chance.random()
            if kind < 0.01:
                text = None
            elif kind < 0.04 and number:
                text = chance.choice(self.texts) or text
            elif kind < 0.06 and number and for_collection:
                identifier = chance.choice(self.ids)
            elif kind > 0.9:
                identifier = str(number)
            self.ids.append(identifier)
            self.texts.append(text)
            self.metadata.append(metadata)
            self.lines.append(self.line(identifier, text, metadata, named=kind <= 0.9, broken=kind < 0.005))

    @staticmethod
    def line(identifier, text, metadata, named, broken):
        if broken:
            return f'{{"id": "{identifier}", "text": "never closed\n'.encode()
        line = {"id": identifier} if named else {}
        if text is not None:
            line["text"] = text
        return (json.dumps(line | {"metadata": metadata}) + "\n").encode()

    def body(self):
        return b"".join(self.lines)

    def invalid(self):
        """A broken line's id cannot be read, so it goes by its number."""
        return [number for number, text in enumerate(self.texts) if text is None]

    def winners(self):
        """For each id the last line that has a text."""
        last = {}
        for number, text in enumerate(self.texts):
            if text is not None:
                last[self.ids[number]] = number
        return last

    def repeated(self):
        """The places of ids that stand in several lines."""
        uses = collections.Counter(self.ids)
        return [number for number, identifier in enumerate(self.ids) if uses[identifier] > 1]


def submit(client, submission, collection=None, parameters=""):
    """Creates the collection, sends the job, and answers its object."""
    if collection is not None:
        client.put(f"/v1/collections/{collection}").expect(200, 201)
        parameters = f"collection={collection}&{parameters}"
    return client.post(f"/v1/jobs?{parameters}".rstrip("?&"), submission.body(), NDJSON).expect(202).json


def wait_for_end(client, identifier, limit):
    """The job when it has ended, or as it is after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        job = client.get(f"/v1/jobs/{identifier}").expect(200).json
        if job["state"] in ("completed", "cancelled", "failed") or time.monotonic() > deadline:
            return job
        time.sleep(0.2)


class Audit:
    """Every claim about one job that has ended; `check` answers figures."""

    def __init__(self, session, client, job, submission, collection, verdict, where):
        self.session, self.client = session, client
        self.identifier, self.submission, self.collection = job, submission, collection
        self.verdict, self.where = verdict, where

    def expect(self, holds, claim):
        return self.verdict.expect(holds, f"{self.where}: {claim}")

    def check(self, sample, seed):
        job = self.client.get(f"/v1/jobs/{self.identifier}").expect(200).json
        if not self.expect(job["state"] == "completed", f"the job is {job['state']}: {job}"):
            return {"state": job["state"]}
        number = self.session.value(f"SELECT id FROM ovenbird.jobs WHERE public_id = '{self.identifier}'")
        self.check_counts(job, number)
        self.check_inputs(number)
        if self.collection is None:
            self.check_results(number)
        else:
            self.check_documents()
        outcomes = self.check_answers()
        cosine = self.check_sample(outcomes, sample, seed)
        attempts = self.session.value(f"SELECT max(attempt) FROM ovenbird.job_segments WHERE job_id = {number}")
        return {"counts": job["counts"], "max_attempt": int(attempts), "least_cosine": cosine}

    def check_counts(self, job, number):
        counts, total = job["counts"], len(self.submission.lines)
        invalid = len(self.submission.invalid())
        self.expect(
            counts["total"] == total == counts["succeeded"] + counts["failed"] and counts["failed"] == invalid,
            f"{total} inputs, {invalid} of them without text, and the API counts {counts}",
        )
        row = self.session.rows(
            f"SELECT state, total, succeeded, failed, deduplicated FROM ovenbird.jobs WHERE id = {number}"
        )[0]
        said = [job["state"], *(str(counts[key]) for key in ("total", "succeeded", "failed", "deduplicated"))]
        self.expect(row == said, f"the API says {said}, the row {row}")

    def check_inputs(self, number):
        total = len(self.submission.lines)
        row = self.session.rows(
            f"SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM ovenbird.job_inputs WHERE job_id = {number}"
        )[0]
        self.expect(row == [str(total), str(total), "0", str(total - 1)], f"inputs: {row}")
        wrong = self.session.value(
            f"""SELECT count(*) FROM (
                SELECT state, first_seq, lag(last_seq, 1, -1) OVER (ORDER BY first_seq) + 1 AS expected
                FROM ovenbird.job_segments WHERE job_id = {number}) AS s
            WHERE state <> 'done' OR first_seq <> expected"""
        )
        self.expect(wrong == "0", f"{wrong} segments are not done, or overlap, or leave a gap")
        failed = self.session.rows(f"SELECT seq, code FROM ovenbird.job_errors WHERE job_id = {number} ORDER BY seq")
        expected = [[str(place), "invalid_line"] for place in self.submission.invalid()]
        self.expect(failed == expected, f"{len(failed)} error rows instead of {len(expected)}: {failed[:5]}")

    def check_results(self, number):
        valid = len(self.submission.lines) - len(self.submission.invalid())
        row = self.session.rows(
            f"""SELECT count(*), count(DISTINCT r.seq), count(i.seq), count(e.seq),
                count(*) FILTER (WHERE r.same_as IS NOT NULL AND s.embedding IS NULL),
                count(*) FILTER (WHERE i.content_sha256 <> coalesce(s.content_sha256, r.content_sha256))
            FROM ovenbird.job_results AS r
            LEFT JOIN ovenbird.job_inputs AS i ON i.job_id = r.job_id AND i.seq = r.seq
            LEFT JOIN ovenbird.job_errors AS e ON e.job_id = r.job_id AND e.seq = r.seq
            LEFT JOIN ovenbird.job_results AS s ON s.job_id = r.job_id AND s.seq = r.same_as
            WHERE r.job_id = {number}"""
        )[0]
        self.expect(
            row == [str(valid), str(valid), str(valid), "0", "0", "0"],
            f"results, distinct, with an input, with an error too, without a vector, of another text: {row}",
        )

    def check_documents(self):
        table = self.session.value(f"SELECT id FROM ovenbird.collections WHERE name = '{self.collection}'")
        winners = self.submission.winners()
        row = self.session.rows(
            f"""SELECT count(*), count(DISTINCT d.external_id), count(v.document_id), count(DISTINCT v.document_id),
                (SELECT count(*) FROM ovenbird.vectors_{table})
            FROM ovenbird.documents_{table} AS d LEFT JOIN ovenbird.vectors_{table} AS v ON v.document_id = d.id"""
        )[0]
        self.expect(
            row == [str(len(winners))] * 5,
            f"{len(winners)} ids; documents, distinct, with a vector, distinct, all vectors: {row}",
        )
        rows = self.session.rows(f"SELECT external_id, text, metadata FROM ovenbird.documents_{table}")
        stored = {identifier: (text, json.loads(metadata)) for identifier, text, metadata in rows}
        wrong = [
            identifier
            for identifier, place in winners.items()
            if stored.get(identifier) != (self.submission.texts[place], self.submission.metadata[place])
        ]
        self.expect(not wrong, f"{len(wrong)} documents have not the last text sent for them: {wrong[:5]}")

    def expected_code(self, place, winners):
        if self.submission.texts[place] is None:
            return "invalid_line"
        if self.collection is None:
            return None
        winner = winners[self.submission.ids[place]]
        same = self.submission.texts[winner] == self.submission.texts[place]
        return None if same else "superseded"

    def check_answers(self):
        """The results as the API streams them; the vectors by place."""
        reply = self.client.get(f"/v1/jobs/{self.identifier}/results").expect(200)
        lines = [json.loads(line) for line in reply.body.splitlines()]
        total, winners = len(self.submission.lines), self.submission.winners()
        self.expect(len(lines) == total, f"{len(lines)} result lines for {total} inputs")
        vectors, wrong = {}, collections.Counter()
        for place, line in enumerate(lines[:total]):
            code = self.expected_code(place, winners)
            broken = b"never closed" in self.submission.lines[place]
            if line["id"] != (str(place) if broken else self.submission.ids[place]):
                wrong["id"] += 1
            if ("embedding" in line) == ("error" in line) or line.get("error", {}).get("code") != code:
                wrong[f"outcome {line.get('error', 'embedding')} instead of {code or 'embedding'}"[:120]] += 1
            if "embedding" in line:
                vectors[place] = line["embedding"]
        self.expect(not wrong, f"result lines are wrong: {dict(wrong.most_common(5))}")
        errors, after = [], ""
        while True:
            page = self.client.get(f"/v1/jobs/{self.identifier}/errors?limit=100{after}").expect(200).json
            errors += [error["index"] for error in page["data"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        self.expect(errors == self.submission.invalid(), f"the API lists {len(errors)} errors")
        return vectors

    def check_sample(self, vectors, size, seed):
        """The least cosine between what is stored and what is computed anew, in halves."""
        places = sorted(random.Random(seed).sample(sorted(vectors), min(size, len(vectors))))
        texts = [self.submission.texts[place] for place in places]
        reply = self.client.post("/v1/embeddings", {"input": texts, "encoding_format": "base64"}).expect(200).json
        fresh = numpy.array([decode_vector(row["embedding"]) for row in reply["data"]])
        fresh = fresh.astype(numpy.float16).astype(numpy.float64)
        stored = numpy.array([vectors[place] for place in places], numpy.float64)
        fresh /= numpy.linalg.norm(fresh, axis=1, keepdims=True)
        stored /= numpy.linalg.norm(stored, axis=1, keepdims=True)
        cosines = (fresh * stored).sum(axis=1)
        self.expect(cosines.min() >= COSINE, f"a vector's cosine to a fresh one is {cosines.min()}")
        # The comparison must be one that a neighbour's vector would fail.
        others = fresh @ stored.T
        equal = numpy.array([[one == other for other in texts] for one in texts])
        self.expect(others[~equal].max() < COSINE, "vectors of different texts cannot be told apart")
        return round(float(cosines.min()), 7)
