"""Drives the server with the official, unchanged `openai` client: what it sends by default, its options, its error
classes and its retries on 429.

Needs `pip install openai numpy`. The server is started twice: with a key file, then with a queue so small that a
flood overfills it. There a client without retries must meet RateLimitError, and clients with eight retries must all
succeed.
"""

import argparse
import asyncio
import math
import os
import sys
import tempfile
import threading
import time

import openai

from server import Server, Verdict, add_server_arguments

KEYS = ("first-key-of-the-acceptance-test", "second-key-of-the-acceptance-test")
TEXTS = [
    "The oven is the encoder.",
    "The loaves are texts of like length.",
    "Nobody waits for the whole queue.",
    "Ünïcödé 🦜 文字",
]


def length(vector):
    return math.sqrt(sum(value * value for value in vector))


def distance(left, right):
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def raises(verdict, kind, status, claim, call):
    """The error, or nil where the claim fails; its message and request id must be there."""
    try:
        call()
    except openai.APIStatusError as error:
        if verdict.expect(
            type(error) is kind and error.status_code == status, f"{claim}: {type(error).__name__} {error}"
        ):
            verdict.expect(
                isinstance(error.body, dict) and error.body.get("message"), f"{claim}: no message in {error.body}"
            )
            verdict.expect(error.request_id, f"{claim}: no X-Request-Id")
            return error
    except Exception as error:
        verdict.expect(False, f"{claim}: {error!r}")
    else:
        verdict.expect(False, f"{claim}: nothing was raised")
    return None


def check_embeddings(client, model, verdict):
    default = client.embeddings.create(model=model, input=TEXTS)  # the client asks for base64 here
    as_float = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    as_base64 = client.embeddings.create(model=model, input=TEXTS, encoding_format="base64")
    verdict.expect(default.object == "list" and default.model, "the answer is a list and names its model")
    verdict.expect([item.index for item in default.data] == [0, 1, 2, 3], "four texts give four vectors, in order")
    verdict.expect(all(isinstance(item.embedding, str) for item in as_base64.data), "an explicit base64 stays text")
    verdict.expect(
        default.usage.prompt_tokens >= 4 and default.usage.total_tokens == default.usage.prompt_tokens,
        "usage counts tokens",
    )
    worst = max(distance(a.embedding, b.embedding) for a, b in zip(default.data, as_float.data, strict=True))
    verdict.expect(worst <= 1e-7, f"base64 and float differ by {worst}")
    full = default.data[0].embedding
    verdict.expect(abs(length(full) - 1) < 1e-5, f"vectors have length 1, not {length(full)}")

    single = client.embeddings.create(model=model, input=TEXTS[0])
    verdict.expect(
        len(single.data) == 1 and distance(single.data[0].embedding, full) <= 1e-5,
        "a lone string gives the same vector",
    )
    for dimensions in (1, 64, len(full)):
        cut = client.embeddings.create(model=model, input=TEXTS[0], dimensions=dimensions).data[0].embedding
        expected = [value / length(full[:dimensions]) for value in full[:dimensions]]
        verdict.expect(
            len(cut) == dimensions and distance(cut, expected) <= 1e-5, f"dimensions={dimensions} cuts and renormalises"
        )

    many = client.embeddings.create(model=model, input=[f"text number {n}" for n in range(2048)])
    verdict.expect([item.index for item in many.data] == list(range(2048)), "2,048 inputs are taken in one request")
    mixed = client.embeddings.create(model=model, input=[TEXTS[0], "", TEXTS[1]], extra_body={"on_error": "per_item"})
    verdict.expect(
        mixed.data[0].embedding == default.data[0].embedding and mixed.data[2].embedding == default.data[1].embedding,
        "item by item, an empty string among them, the others have their vectors",
    )
    verdict.expect(
        mixed.data[1].embedding is None
        and mixed.data[1].model_extra["error"]["param"] == "input[1]"
        and mixed.model_extra["errors"] == [1],
        f"item by item, the empty string has its error: {mixed.data[1]}",
    )
    raw = client.embeddings.with_raw_response.create(
        model=model, input="x", extra_headers={"X-Request-Timeout-Ms": "60000"}
    )
    stages = [part.split(";dur=")[0] for part in raw.headers.get("server-timing", "").split(", ")]
    verdict.expect(stages == ["queue", "tokenize", "compute"], f"an answer carries Server-Timing: {stages}")
    verdict.expect(raw.headers.get("x-request-id"), "an answer carries X-Request-Id")
    return len(full)


async def check_async(url, model, verdict):
    async with openai.AsyncOpenAI(base_url=url, api_key=KEYS[1], max_retries=0) as client:
        replies = await asyncio.gather(*(client.embeddings.create(model=model, input=text) for text in TEXTS * 4))
    verdict.expect(
        len(replies) == 16 and all(len(reply.data) == 1 for reply in replies), "the asynchronous client works alike"
    )


def check_errors(client, url, model, dimensions, verdict):
    def create(**arguments):
        return lambda: client.embeddings.create(**{"model": model, "input": "x", **arguments})

    bad, request = openai.BadRequestError, "bad request"
    raises(verdict, bad, 400, f"{request}: empty string", create(input=""))
    raises(verdict, bad, 400, f"{request}: empty list", create(input=[]))
    raises(verdict, bad, 400, f"{request}: an empty string among others", create(input=["a", ""]))
    raises(verdict, bad, 400, f"{request}: too many dimensions", create(dimensions=dimensions + 1))
    raises(verdict, bad, 400, f"{request}: no dimensions", create(dimensions=0))
    raises(verdict, bad, 400, f"{request}: on_error", create(extra_body={"on_error": "skip"}))
    raises(verdict, bad, 400, f"{request}: timeout", create(extra_headers={"X-Request-Timeout-Ms": "0"}))
    raises(verdict, bad, 400, f"{request}: encoding", create(encoding_format="md5"))
    raises(verdict, bad, 400, f"{request}: too long", create(input="word " * 5000, extra_body={"truncate": "none"}))
    tokens = raises(verdict, bad, 400, f"{request}: token ids", create(input=[[101, 7592, 102]]))
    if tokens:
        verdict.expect(
            "check_embedding_ctx_length" in str(tokens), f"token ids: the message names LangChain's option: {tokens}"
        )
    raises(verdict, openai.NotFoundError, 404, "unknown model", create(model="no-such-model"))
    wrong = openai.OpenAI(base_url=url, api_key="a-wrong-key", max_retries=0)
    raises(
        verdict, openai.AuthenticationError, 401, "wrong key", lambda: wrong.embeddings.create(model=model, input="x")
    )
    raises(verdict, openai.AuthenticationError, 401, "wrong key, models", wrong.models.list)


def flood(url, model, threads, requests, retries):
    """Every thread posts its requests one after the other; the counts of successes, of 429 and of anything else."""
    counts = {"succeeded": 0, "refused": 0, "other": 0}
    waits, lock, gate = [], threading.Lock(), threading.Barrier(threads)
    text = "a loaf of bread " * 15  # about 60 tokens

    def work(number):
        with openai.OpenAI(base_url=url, api_key=KEYS[0], max_retries=retries) as client:
            gate.wait()
            for request in range(requests):
                outcome, wait = "other", None
                try:
                    inputs = [f"{number} {request} {n} {text}" for n in range(4)]
                    outcome = (
                        "succeeded" if len(client.embeddings.create(model=model, input=inputs).data) == 4 else "other"
                    )
                except openai.RateLimitError as error:
                    outcome, wait = "refused", error.response.headers.get("retry-after")
                except Exception as error:
                    print(f"flood: {error!r}", file=sys.stderr)
                with lock:
                    counts[outcome] += 1
                    if outcome == "refused":
                        waits.append(wait)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    begin = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return counts, waits, round(time.monotonic() - begin, 2)


def check_retries(url, model, options, verdict):
    without, waits, _ = flood(url, model, options.flood_threads, 6, retries=0)
    print(f"flood without retries: {without}")
    verdict.expect(without["refused"] > 0, "a flood of a small queue meets 429")
    verdict.expect(
        without["succeeded"] > 0 and without["other"] == 0, f"a flood meets nothing but 200 and 429: {without}"
    )
    usable = [
        wait for wait in waits if wait is not None and wait.replace(".", "", 1).isdigit() and 0 < float(wait) <= 120
    ]
    verdict.expect(
        len(usable) == len(waits), f"Retry-After is over 0 and at most 120 s: {sorted({str(wait) for wait in waits})}"
    )
    retried, _, seconds = flood(url, model, options.flood_threads, 2, retries=8)
    print(f"flood with eight retries: {retried} in {seconds} s")
    verdict.expect(
        retried["succeeded"] == 2 * options.flood_threads, f"with eight retries every request succeeds: {retried}"
    )
    return {"flood_without_retries": without, "flood_with_retries": retried, "flood_with_retries_seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--flood-threads", type=int, default=16)
    parser.add_argument(
        "--flood-option",
        action="append",
        metavar="OPTION",
        help="options of the flooded server (default: --max-queued-tokens=1024 --threads=1)",
    )
    options = parser.parse_args()
    verdict = Verdict("openai_client")

    with tempfile.TemporaryDirectory() as folder:
        key_file = os.path.join(folder, "keys")
        with open(os.open(key_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("\n".join(KEYS) + "\n")
        with Server(
            options.ovenbird, options.model, "--api-key-file", key_file, *options.serve_option, key=KEYS[0]
        ) as server:
            url = f"{server.url}/v1"
            client = openai.OpenAI(base_url=url, api_key=KEYS[0], max_retries=0)
            models = client.models.list().data
            verdict.expect(
                models and all(model.id and model.object == "model" for model in models), "models.list() names models"
            )
            model = models[0].id
            verdict.expect(client.models.retrieve(model).id == model, "models.retrieve() gives the model")
            dimensions = check_embeddings(client, model, verdict)
            asyncio.run(check_async(url, model, verdict))
            check_errors(client, url, model, dimensions, verdict)
        small = options.flood_option or ["--max-queued-tokens=1024", "--threads=1"]
        with Server(
            options.ovenbird, options.model, "--api-key-file", key_file, *options.serve_option, *small, key=KEYS[0]
        ) as server:
            figures = check_retries(f"{server.url}/v1", model, options, verdict)
    return verdict.finish(openai_version=openai.__version__, model=model, dimensions=dimensions, **figures)


if __name__ == "__main__":
    sys.exit(main())
