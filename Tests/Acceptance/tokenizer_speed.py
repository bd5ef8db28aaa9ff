#!/usr/bin/env python3
"""How many times as fast as Hugging Face `tokenizers` one thread of ovenbird tokenizes; the ids must be the same.

    python tokenizer_speed.py --ovenbird .build/release/ovenbird --model DIR --texts FILE [--pairs 5] [--floor 10]

needs a Python with `tokenizers`. FILE is NDJSON lines {"id","text"} if its first line is an object, else one text a line.
Two ways to use a tokenizer are timed: `documents`, the texts joined to 10 kB each and read without a limit; `sentences`, the
texts as they are, cut at the model's limit. Both sides take turns, a pair at a time, on one thread each, and are timed by
the processor seconds of that thread within the process, so that neither start nor output counts and other work on the
machine counts little. Of Hugging Face the fastest of `encode_batch`, `encode_batch_fast` (both 64 texts at a time) and
`encode` counts in each pair; nothing is read out of its encodings. Of ovenbird the median of `--rounds` counts, of which the
first meets an empty cache. It prints one JSON line: for each way the megabytes a second of both, and the median of the pairs'
ratios. It ends with 1 where ids differ or a ratio is below the floor.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402  (reads the environment)

UNLIMITED = 4_000_000


def read_texts(path, byte_count):
    texts, size, is_json = [], 0, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            is_json = line.startswith("{") if is_json is None else is_json
            text = json.loads(line)["text"] if is_json else line.rstrip("\n")
            texts.append(text)
            size += len(text.encode())
            if size >= byte_count:
                break
    return texts


def joined(texts, byte_count=10_000):
    documents, current, size = [], [], 0
    for text in texts:
        current.append(text)
        size += len(text.encode()) + 1
        if size >= byte_count:
            documents.append("\n".join(current))
            current, size = [], 0
    return documents + (["\n".join(current)] if current else [])


def limit_of(model):
    def read(name):
        path = os.path.join(model, name)
        return json.load(open(path, encoding="utf-8")) if os.path.exists(path) else {}

    stated = read("sentence_bert_config.json").get("max_seq_length") or read("tokenizer_config.json").get("model_max_length")
    return int(min(stated or 512, read("config.json").get("max_position_embeddings", 512)))


def without_limit(model, directory):
    """A folder with the model's tokenizer and no limit."""
    shutil.copy(os.path.join(model, "tokenizer.json"), directory)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"max_position_embeddings": UNLIMITED}, file)


def peer_seconds(tokenizer, texts):
    """Processor seconds of each call over all texts."""
    seconds = {}
    for name in ("encode_batch", "encode_batch_fast", "encode"):
        call, total = getattr(tokenizer, name), 0.0
        for first in range(0, len(texts), 64):
            part = texts[first:first + 64]
            start = time.process_time()
            kept = [call(text) for text in part] if name == "encode" else call(part)
            total += time.process_time() - start
            del kept
        seconds[name] = total
    return seconds


def own_run(ovenbird, model, path, rounds):
    """The ids of each text, and the report of the rounds."""
    run = subprocess.run(
        [ovenbird, "tokenize", "--model", model, "--input", path, "--rounds", str(rounds)], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{ovenbird} ended with {run.returncode}: {run.stderr.strip()}")
    return [json.loads(line)["ids"] for line in run.stdout.splitlines()], json.loads(run.stderr.splitlines()[-1])


def compare(options, tokenizer, model, texts):
    byte_count = sum(len(text.encode()) for text in texts)
    ratios, own_rates, first_rates, peer_rates, calls = [], [], [], [], []
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
        for index, text in enumerate(texts):
            file.write(json.dumps({"id": index, "text": text}) + "\n")
        file.flush()
        differing = 0
        for pair in range(options.pairs):
            peer = peer_seconds(tokenizer, texts)
            call = min(peer, key=peer.get)
            ids, report = own_run(options.ovenbird, model, file.name, options.rounds)
            if len(ids) != len(texts) or report["bytes"] != byte_count:
                raise SystemExit(f"{options.ovenbird} read {len(ids)} texts of {report['bytes']} bytes")
            if pair == 0:
                differing = sum(own != tokenizer.encode(text).ids for own, text in zip(ids, texts))
            own = statistics.median(report["cpu_seconds"])
            calls.append(call)
            ratios.append(peer[call] / own)
            peer_rates.append(byte_count / peer[call] / 1e6)
            own_rates.append(byte_count / own / 1e6)
            first_rates.append(byte_count / report["cpu_seconds"][0] / 1e6)
    median = lambda values: round(statistics.median(values), 2)
    return {
        "texts": len(texts), "bytes": byte_count, "tokens": report["tokens"], "texts_that_differ": differing,
        "tokenizers_mb_per_second": median(peer_rates), "tokenizers_calls": sorted(set(calls)),
        "ovenbird_mb_per_second": median(own_rates), "ovenbird_first_round_mb_per_second": median(first_rates),
        "ratio": median(ratios), "ratio_min": round(min(ratios), 2), "ratio_max": round(max(ratios), 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ovenbird", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--megabytes", type=float, default=2, help="how much of the texts is read")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5, help="of ovenbird in each pair")
    parser.add_argument("--floor", type=float, default=10)
    options = parser.parse_args()
    texts = read_texts(options.texts, options.megabytes * 1e6)
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(options.model, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    result = {"tokenizers": tokenizers.__version__, "pairs": options.pairs}
    with tempfile.TemporaryDirectory(prefix="tokenizer-speed-") as directory:
        without_limit(options.model, directory)
        result["documents"] = compare(options, tokenizer, directory, joined(texts))
    tokenizer.enable_truncation(max_length=limit_of(options.model))
    result["sentences"] = compare(options, tokenizer, options.model, texts)
    print(json.dumps(result))
    ways = [result["documents"], result["sentences"]]
    sys.exit(any(way["texts_that_differ"] or way["ratio"] < options.floor for way in ways))


if __name__ == "__main__":
    main()
