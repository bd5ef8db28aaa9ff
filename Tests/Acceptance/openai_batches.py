"""Drives files and batches with the official, unchanged `openai` client: upload, batch, poll, download, error file,
cancel, expiry, lists, deletion, and what is refused.

Needs `pip install openai numpy` and PostgreSQL's programs with pgvector. Vectors in the output must be those that
`/v1/embeddings` gives, rounded to half precision; a batch that was cut by `kill -9` of the server goes on after its restart.
"""

import argparse
import base64
import io
import json
import os
import sys
import tempfile
import time

import numpy
import openai

from cluster import Cluster, query
from server import Server, Verdict, add_server_arguments

KEYS = ("first-key-of-the-acceptance-test", "second-key-of-the-acceptance-test")
WORDS = "oven bread loaf flour water salt yeast crust crumb stone fire ash bird nest clay mud wing song dawn dusk".split()
ENDED = {"completed", "failed", "expired", "cancelled"}


def text(number):
    return " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7, 11)) + f" {number}"


def line(custom_id, body, **changes):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings", "body": body, **changes}


def jsonl(lines):
    return "".join((entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)) + "\n" for entry in lines)


def upload(client, content, **options):
    data = content if isinstance(content, bytes) else content.encode()
    return client.files.create(file=("requests.jsonl", io.BytesIO(data)), purpose="batch", **options)


def begin(client, file, **options):
    return client.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", **options
    )


def wait(client, batch, limit=300, states=ENDED):
    """The batch as soon as it is in one of the states, and the states that were seen on the way."""
    seen = []
    deadline = time.monotonic() + limit
    while True:
        batch = client.batches.retrieve(batch.id)
        if not seen or seen[-1] != batch.status:
            seen.append(batch.status)
        if batch.status in states:
            return batch, seen
        if time.monotonic() > deadline:
            raise SystemExit(f"{batch.id} is {batch.status} after {limit} s: {batch}")
        time.sleep(0.05)


def read_lines(client, verdict, file_id):
    content = client.files.content(file_id).read()
    size = client.files.retrieve(file_id).bytes
    verdict.expect(size == len(content), f"{file_id} says {size} bytes and has {len(content)}")
    return [json.loads(entry) for entry in content.splitlines()]


def as_array(embedding):
    if isinstance(embedding, str):
        return numpy.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return numpy.array(embedding, "f4")


def raises(verdict, kind, status, claim, call, says=""):
    try:
        call()
    except openai.APIStatusError as error:
        verdict.expect(
            type(error) is kind and error.status_code == status and says in str(error),
            f"{claim}: {type(error).__name__} {error}",
        )
    except Exception as error:
        verdict.expect(False, f"{claim}: {error!r}")
    else:
        verdict.expect(False, f"{claim}: nothing was raised")


def check_life(client, model, verdict):
    """One batch from upload to deletion."""
    lines = [line("unicode-ñ-🦜", {"model": model, "input": "Ünïcödé 🦜 文字"})]
    lines += [line(f"r{n}", {"model": model, "input": text(n)}) for n in range(200)]
    lines += [line("list", {"model": model, "input": [text(n) for n in (1, 2, 3)]})]
    lines += [line("base64", {"model": model, "input": text(5), "encoding_format": "base64"})]
    lines += [line("short", {"model": model, "input": text(6), "dimensions": 64})]
    lines += [line("empty", {"model": model, "input": ""}), line("hole", {"model": model, "input": ["x", ""]})]
    content = jsonl(lines[:100]) + "\n" + jsonl(lines[100:])
    file = upload(client, content)
    verdict.expect(file.bytes == len(content.encode()) and file.purpose == "batch", f"the file is described: {file}")
    verdict.expect(file.filename == "requests.jsonl" and file.object == "file", f"the file has its name: {file}")
    verdict.expect(client.files.wait_for_processing(file.id, poll_interval=0.1).status == "processed", "it is processed")
    verdict.expect(client.files.content(file.id).read() == content.encode(), "the file comes back byte for byte")

    created = begin(client, file, metadata={"purpose": "acceptance"})
    verdict.expect(created.status == "validating" and created.object == "batch", f"a batch begins: {created}")
    verdict.expect(created.expires_at == created.created_at + 86400, "it expires after 24 hours")
    batch, seen = wait(client, created)
    verdict.expect(batch.status == "completed", f"the batch completes: {batch}")
    order = ["validating", "in_progress", "finalizing", "completed"]
    verdict.expect(seen == [state for state in order if state in seen], f"states come in order: {seen}")
    counts = batch.request_counts
    verdict.expect(
        (counts.total, counts.completed, counts.failed) == (206, 204, 2), f"requests are counted: {counts}"
    )
    moments = [batch.created_at, batch.in_progress_at, batch.finalizing_at, batch.completed_at]
    verdict.expect(None not in moments and moments == sorted(moments), f"moments are in order: {moments}")
    verdict.expect(batch.metadata == {"purpose": "acceptance"} and batch.errors is None, "metadata stays")

    answers = read_lines(client, verdict, batch.output_file_id)
    good = [entry for entry in lines if entry["custom_id"] not in ("empty", "hole")]
    verdict.expect([a["custom_id"] for a in answers] == [entry["custom_id"] for entry in good], "input order")
    tokens, worst = 0, 1.0
    for answer, request in zip(answers, good, strict=True):
        response = answer["response"]
        verdict.expect(answer["error"] is None and response["status_code"] == 200, f"it succeeded: {answer['id']}")
        body = response["body"]
        direct = client.embeddings.create(**{**request["body"], "encoding_format": "float"})
        tokens += body["usage"]["total_tokens"]
        verdict.expect(body["usage"]["prompt_tokens"] == direct.usage.prompt_tokens, "tokens as /v1/embeddings counts")
        verdict.expect(body["model"] == direct.model and body["object"] == "list", "the model is named")
        for index, (item, wanted) in enumerate(zip(body["data"], direct.data, strict=True)):
            verdict.expect(item["index"] == index and item["object"] == "embedding", "items are numbered")
            vector, expected = as_array(item["embedding"]), as_array(wanted.embedding)
            verdict.expect(vector.shape == expected.shape, f"dimensions: {vector.shape}")
            cosine = float(vector @ expected / numpy.linalg.norm(vector) / numpy.linalg.norm(expected))
            worst = min(worst, cosine)
    verdict.expect(worst > 0.99999, f"vectors are those of /v1/embeddings: cosine {worst}")
    by_id = {a["custom_id"]: a["response"]["body"]["data"] for a in answers}
    verdict.expect(isinstance(by_id["base64"][0]["embedding"], str), "base64 where it was asked for")
    verdict.expect(len(by_id["list"]) == 3, "a list of inputs is answered whole")
    verdict.expect(batch.usage.total_tokens == batch.usage.input_tokens == tokens, f"usage sums up: {batch.usage}")

    errors = read_lines(client, verdict, batch.error_file_id)
    verdict.expect([e["custom_id"] for e in errors] == ["empty", "hole"], "failed requests are in the error file")
    for error in errors:
        verdict.expect(error["response"]["status_code"] == 400, f"an empty string is 400: {error}")
        verdict.expect("empty string" in error["error"]["message"], f"the error says why: {error}")

    again = client.files.content(batch.output_file_id).read()
    verdict.expect(again == client.files.content(batch.output_file_id).read(), "a file reads the same each time")
    names = [f.id for f in client.files.list(purpose="batch_output")]
    verdict.expect({batch.output_file_id, batch.error_file_id} <= set(names), "its files are listed")
    for name in (file.id, batch.output_file_id, batch.error_file_id):
        deletion = client.files.delete(name)
        verdict.expect(deletion.deleted and deletion.id == name, f"{name} is deleted")
        raises(verdict, openai.NotFoundError, 404, "a deleted file", lambda: client.files.content(name))  # noqa: B023
    raises(verdict, openai.ConflictError, 409, "a completed batch", lambda: client.batches.cancel(batch.id), "completed")


def check_refusals(client, model, verdict):
    good = {"model": model, "input": "x"}
    cases = [
        ("{", "invalid_json_line"),
        (line("a", good, method="GET"), "invalid_value"),
        (line("b", good, url="/v1/chat/completions"), "invalid_value"),
        (line("c", {"model": "no-such-model", "input": "x"}), "model_not_found"),
        (line("d", {"model": model, "input": [101, 102]}), "token_input"),
        (line("e", {"model": model, "input": "x", "dimensions": 100000}), "invalid_value"),
        ({"method": "POST", "url": "/v1/embeddings", "body": good}, "invalid_value"),
        (line("first", good), "duplicate_custom_id"),
    ]
    file = upload(client, jsonl([line("first", good), *(entry for entry, _ in cases), line("last", good)]))
    batch, _ = wait(client, begin(client, file))
    verdict.expect(batch.status == "failed" and batch.failed_at, f"a bad file fails its batch: {batch.status}")
    found = [(error.line, error.code) for error in batch.errors.data]
    wanted = [(number + 2, code) for number, (_, code) in enumerate(cases)]
    verdict.expect(found == wanted, f"errors carry their lines: {found}, not {wanted}")
    verdict.expect(batch.output_file_id is None and batch.error_file_id is None, "a failed batch has no files")
    verdict.expect("check_embedding_ctx_length" in batch.errors.data[4].message, "token lists are explained")

    empty, _ = wait(client, begin(client, upload(client, "\n \n")))
    verdict.expect(empty.status == "failed" and empty.errors.data[0].code == "empty_file", "no request, no batch")
    many = upload(client, jsonl(line(f"r{n}", good) for n in range(301)))
    crowded, _ = wait(client, begin(client, many))
    verdict.expect(crowded.errors.data[0].code == "too_many_requests", f"--max-batch-requests: {crowded.errors}")
    verdict.expect(crowded.errors.data[0].line == 301, f"the first one too many: {crowded.errors}")

    raises(verdict, openai.NotFoundError, 404, "unknown file", lambda: begin(client, type("F", (), {"id": "file-x"})))
    raises(verdict, openai.NotFoundError, 404, "unknown batch", lambda: client.batches.retrieve("batch_x"))
    raises(verdict, openai.NotFoundError, 404, "unknown content", lambda: client.files.content("file-x"))
    raises(
        verdict,
        openai.BadRequestError,
        400,
        "another purpose",
        lambda: client.files.create(file=b"x", purpose="fine-tune"),
        "batch",
    )
    raises(
        verdict,
        openai.BadRequestError,
        400,
        "another endpoint",
        lambda: client.batches.create(
            input_file_id=many.id, endpoint="/v1/chat/completions", completion_window="24h"
        ),
        "/v1/embeddings",
    )
    raises(
        verdict,
        openai.APIStatusError,
        413,
        "a file over --max-file-bytes",
        lambda: upload(client, b"x" * (2 << 20) + b"y" * 100_000),
        "--max-file-bytes",
    )
    for name in client.files.list():
        client.files.delete(name.id)


def check_cancel(client, model, verdict):
    """What is done is kept; together the two files answer every request once."""
    lines = [line(f"r{n}", {"model": model, "input": [text(n * 37 + k) for k in range(100)]}) for n in range(300)]
    batch = begin(client, upload(client, jsonl(lines)))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        batch = client.batches.retrieve(batch.id)
        if batch.status != "validating" and batch.request_counts.completed > 3:
            break
        time.sleep(0.02)
    cancelling = client.batches.cancel(batch.id)
    verdict.expect(cancelling.status in ("cancelling", "cancelled"), f"cancelling begins: {cancelling.status}")
    batch, _ = wait(client, batch)
    verdict.expect(batch.status == "cancelled" and batch.cancelled_at and batch.cancelling_at, f"cancelled: {batch}")
    check_partial(client, verdict, batch, lines, "batch_cancelled")
    return batch.request_counts.completed


def check_partial(client, verdict, batch, lines, code):
    done = read_lines(client, verdict, batch.output_file_id) if batch.output_file_id else []
    rest = read_lines(client, verdict, batch.error_file_id) if batch.error_file_id else []
    counts = batch.request_counts
    verdict.expect(
        (counts.total, counts.completed, counts.failed) == (len(lines), len(done), len(rest)), f"counts: {counts}"
    )
    ids = [entry["custom_id"] for entry in lines]
    for answers in (done, rest):
        places = [ids.index(answer["custom_id"]) for answer in answers]
        verdict.expect(places == sorted(places), "each file is in input order")
    verdict.expect(
        sorted(answer["custom_id"] for answer in done + rest) == sorted(ids), "every request is answered once"
    )
    verdict.expect(
        all(answer["response"] is None and answer["error"]["code"] == code for answer in rest),
        f"what was not done says {code}",
    )
    verdict.expect(rest, "something was left undone")


def check_expiry(client, model, cluster, verdict):
    lines = [line(f"r{n}", {"model": model, "input": [text(n * 41 + k) for k in range(100)]}) for n in range(300)]
    batch = begin(client, upload(client, jsonl(lines)))
    wait(client, batch, states=ENDED | {"in_progress"})
    # A day later, as far as the batch can tell.
    query(
        cluster.psql(),
        cluster.url,
        f"UPDATE ovenbird.batches SET expires_at = clock_timestamp() WHERE public_id = '{batch.id}'",
    )
    batch, _ = wait(client, batch)
    verdict.expect(batch.status == "expired" and batch.expired_at, f"it expires: {batch}")
    check_partial(client, verdict, batch, lines, "batch_expired")


def check_lists(client, model, verdict):
    for file in client.files.list():
        client.files.delete(file.id)
    content = jsonl([line("a", {"model": model, "input": "x"})])
    files = [upload(client, content, expires_after={"anchor": "created_at", "seconds": 3600}) for _ in range(5)]
    verdict.expect(files[0].expires_at == files[0].created_at + 3600, f"a file expires when it was told: {files[0]}")
    ids = [file.id for file in files]
    verdict.expect([f.id for f in client.files.list(limit=2)] == ids[::-1], "the client pages through files")
    verdict.expect([f.id for f in client.files.list(limit=2, order="asc")] == ids, "and the other way")
    page = client.files.list(limit=2, order="asc", after=ids[1])
    verdict.expect([f.id for f in page.data] == ids[2:4] and page.has_more, "a page begins behind `after`")
    before = [b.id for b in client.batches.list(limit=100)]
    made = [begin(client, file).id for file in files]
    verdict.expect([b.id for b in client.batches.list(limit=3)] == made[::-1] + before, "the client pages batches")
    for batch in made:
        ended, _ = wait(client, client.batches.retrieve(batch))
        verdict.expect(ended.status == "completed" and ended.error_file_id is None, f"{batch} completes")


def check_crash(server, client, model, verdict):
    """kill -9 while a batch is validated and while it is embedded."""
    figures = []
    for pause in (0.0, 1.5):
        lines = [line(f"r{n}", {"model": model, "input": text(n * 7 + int(pause * 1000))}) for n in range(300)]
        batch = begin(client, upload(client, jsonl(lines)))
        time.sleep(pause)
        server.process.kill()
        server.process.wait()
        server.start()
        client = client.copy(base_url=f"{server.url}/v1")
        start = time.monotonic()
        batch, _ = wait(client, batch)
        figures.append(round(time.monotonic() - start, 1))
        verdict.expect(batch.status == "completed", f"it goes on after kill -9: {batch}")
        done = read_lines(client, verdict, batch.output_file_id)
        verdict.expect(
            [answer["custom_id"] for answer in done] == [entry["custom_id"] for entry in lines], "whole, in order"
        )
    return client, figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--pg-bin", required=True, metavar="DIR", help="initdb, postgres, pg_isready and psql")
    options = parser.parse_args()
    verdict = Verdict("openai_batches")
    figures = {}
    with tempfile.TemporaryDirectory() as folder, Cluster(options.pg_bin) as cluster:
        key_file = os.path.join(folder, "keys")
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("\n".join(KEYS) + "\n")
        arguments = ["--api-key-file", key_file, "--database-url", cluster.url, "--migrate"]
        arguments += ["--max-batch-requests=300", f"--max-file-bytes={2 << 20}", "--job-lease=5", *options.serve_option]
        with Server(options.ovenbird, options.model, *arguments, key=KEYS[0]) as server:
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEYS[0], max_retries=0)
            model = client.models.list().data[0].id
            for name, check in [
                ("life", lambda: check_life(client, model, verdict)),
                ("refusals", lambda: check_refusals(client, model, verdict)),
                ("cancel", lambda: check_cancel(client, model, verdict)),
                ("expiry", lambda: check_expiry(client, model, cluster, verdict)),
                ("lists", lambda: check_lists(client, model, verdict)),
            ]:
                start = time.monotonic()
                check()
                figures[f"{name}_seconds"] = round(time.monotonic() - start, 1)
                print(f"{name}: {figures[f'{name}_seconds']} s", flush=True)
            client, figures["seconds_after_kill"] = check_crash(server, client, model, verdict)
    return verdict.finish(openai_version=openai.__version__, model=model, **figures)


if __name__ == "__main__":
    sys.exit(main())
