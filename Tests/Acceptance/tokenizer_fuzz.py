#!/usr/bin/env python3
"""Compares `ovenbird tokenize` with Hugging Face `tokenizers`, id by id.

    python tokenizer_fuzz.py --ovenbird .build/release/ovenbird --model DIR [--seeds 3] [--strings 5000] [--quick]

needs a Python with `tokenizers`. It takes the model's tokenizer.json and variants of it (cased and uncased, accents
stripped and kept, Chinese apart or not, texts not cleaned, added tokens with every flag, BertProcessing, an alphabet for a
vocabulary, so that no difference hides behind [UNK]) and gives both sides every Unicode scalar alone and between letters,
hostile strings from seeds that are drawn at run time and printed, and texts of 1 MB; under the model's own limit and
without one. It ends with 1 at the first variant that differs, naming text and ids. `--quick` leaves the scalars out.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from tokenizers import Tokenizer, normalizers

UNLIMITED = 4_000_000
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CONFIGURATIONS = ["tokenizer_config.json", "sentence_bert_config.json", "config.json"]

ADDED = [
    ("<raw>", {}), ("<single>", {"single_word": True}), ("<left>", {"lstrip": True}), ("<right>", {"rstrip": True}),
    ("<both>", {"lstrip": True, "rstrip": True, "single_word": True}), ("<raw>er", {}), (" spaced ", {}), ("ab", {}),
    ("É", {"single_word": True}), ("\u3000", {}), ("日本", {"lstrip": True}), ("a\u0301", {"rstrip": True}),
    ("token", {"special": True, "single_word": True}),
]
NORMALIZED = [
    ("<Norm>", {}), ("Straße", {"single_word": True}), ("ÉCOLE", {"lstrip": True}), ("東京", {"rstrip": True}),
    ("New York", {"lstrip": True, "rstrip": True}), ("\u0301x", {}), ("the", {"single_word": True}), ("İ", {}), ("#", {}),
    ("ǅ", {"single_word": True, "rstrip": True}), ("Å\u0327", {}), ("-", {"lstrip": True, "special": True}),
]


def added_tokens(tokens, normalized):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "special": False, "normalized": normalized}
    return [{"id": 0, "content": content, **flags, **own} for content, own in tokens]


def alphabet_model(model):
    """Every scalar of the planes' busier parts as a piece of its own, at both places of a word."""
    ranges = [(0x21, 0x3400), (0xA000, 0xAC80), (0xF900, 0xFB00), (0xFB00, 0x10000), (0x10000, 0x12000),
              (0x16A00, 0x17000), (0x1BC00, 0x1BD00), (0x1D000, 0x1F000), (0xE0000, 0xE0200)]
    characters = [chr(c) for start, end in ranges for c in range(start, end)]
    vocabulary = {piece: i for i, piece in enumerate(["[UNK]"] + [p for c in characters for p in (c, "##" + c)])}
    return {**model, "vocab": vocabulary, "max_input_chars_per_word": 100}


def variants(base):
    def variant(name, scalars="packed", **changes):
        return name, {**base, **changes}, scalars

    def bert(clean=True, chinese=True, strip=None, lower=True):
        return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": strip,
                "lowercase": lower}

    yield variant("the model's own", "full")
    for lower in (True, False):
        for strip in (None, True, False):
            for chinese in (True, False):
                name = f"lowercase {lower}, strip_accents {strip}, handle_chinese_chars {chinese}"
                full = "full" if chinese and strip is not None else "packed"
                yield variant(name, full, normalizer=bert(True, chinese, strip, lower))
    yield variant("not cleaned", normalizer=bert(clean=False))
    yield variant("not cleaned, cased", normalizer=bert(clean=False, lower=False))
    yield variant("no normalizer", normalizer=None)
    own, alphabet = base["added_tokens"], alphabet_model(base["model"])
    for name, model in (("model", base["model"]), ("alphabet", alphabet)):
        for clean in (True, False):
            for lower, strip in ((True, None), (True, False), (False, True), (False, None)):
                where = f"{name}, clean_text {clean}, lowercase {lower}, strip_accents {strip}"
                switches = bert(clean, True, strip, lower)
                raw, normalized = added_tokens(ADDED, False), added_tokens(NORMALIZED, True)
                processor = base["post_processor"] if name == "model" else None
                common = {"normalizer": switches, "model": model, "post_processor": processor}
                if name == "alphabet":
                    yield variant(f"{where}, nothing added", added_tokens=[], **common)
                yield variant(f"{where}, raw tokens", "none", added_tokens=own + raw, **common)
                yield variant(f"{where}, normalized tokens", "none", added_tokens=own + normalized, **common)
                yield variant(f"{where}, both", "none", added_tokens=own + raw + normalized, **common)
    yield variant("BertProcessing", "none", post_processor={
        "type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]})
    yield variant("short words", "none", model={**base["model"], "max_input_chars_per_word": 7})
    yield variant("do_lower_case", "packed", normalizer=bert(lower=False, strip=True))


def scalar_texts(mode):
    if mode == "full":
        for code in SCALARS:
            yield chr(code)
            yield f"a{chr(code)}b"
    elif mode == "packed":
        for start in range(0, len(SCALARS), 32):
            part = SCALARS[start:start + 32]
            yield " ".join(chr(c) for c in part)
            yield " ".join(f"a{chr(c)}b" for c in part)
            yield "".join(f"é{chr(c)}" for c in part)


def hostile_texts(seed, count, vocabulary):
    draw = random.Random(seed)
    groups = [
        range(0x20, 0x7F), range(0, 0x21), range(0x7F, 0x100), range(0x100, 0x250), range(0x300, 0x370),
        range(0x370, 0x600), range(0x590, 0x700), range(0x900, 0x1000), range(0xE00, 0x1000), range(0x1100, 0x1200),
        range(0x1AB0, 0x1B50), range(0x1DC0, 0x2000), range(0x2000, 0x2070), range(0x20D0, 0x2100), range(0x3000, 0x3100),
        range(0x4E00, 0x9FFF), range(0xAC00, 0xD7A4), range(0xF900, 0x10000), range(0x1D100, 0x1D250),
        range(0x1F300, 0x1F650), range(0x20000, 0x2FA20), range(0xE0000, 0xE0200), SCALARS,
    ]
    spaces = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u000b", "\u001f", "\ufeff"]
    oddities = ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]", "[ MASK ]", "##", "##ing", "[unused1]", "\ufffd", "\0",
                "İstanbul", "ΣΑΣ", "ẞ", "ß", "ﬁ", "ǅ", "\u1e9b\u0323", "é", "e\u0301", "a\u0328\u0301\u0323", "각", "가\u11a8",
                "👩‍👩‍👧‍👦", "🇩🇪", "don't", "U.S.A.", "…", "—", "\u202e", "\u200b", "\u200d", "\u00ad"]
    contents = [content for content, _ in ADDED + NORMALIZED]

    def scalars(longest):
        group = draw.choice(groups)
        return "".join(chr(draw.choice(group)) for _ in range(draw.randint(1, longest)))

    def piece():
        kind = draw.randrange(12)
        if kind < 3:
            return draw.choice(vocabulary)
        if kind == 3:
            return draw.choice(spaces)
        if kind == 4:
            return draw.choice(oddities)
        if kind < 7:
            text = draw.choice(contents)
            return draw.choice([text, text, text.upper(), text.lower(), text.title(), text[:-1], text * 2])
        if kind == 7:
            return scalars(1) * draw.choice([2, 7, 8, 25, 99, 100, 101, 102])
        if kind == 8:
            return "".join(scalars(1) for _ in range(draw.randint(2, 12)))
        return scalars(6)

    for _ in range(count):
        text = "".join(piece() + draw.choice(["", "", " ", " ", draw.choice(spaces)]) for _ in range(draw.randint(1, 30)))
        # Groups that reach over the surrogates leave them out.
        yield "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)


def large_texts(seed, vocabulary):
    draw = random.Random(seed)
    size = 1 << 20
    yield " ".join(draw.choice(vocabulary) for _ in range(size // 7))
    yield "a" * size
    yield "".join(chr(draw.randrange(0x4E00, 0x9FA5)) for _ in range(size // 3))
    yield "e" + "".join(chr(draw.randrange(0x300, 0x370)) for _ in range(size // 2)) + " end"
    yield " " * size + "end"
    yield "".join(hostile_texts(seed, 4000, vocabulary))[:size]


def write_model(directory, model, definition, limit, lowercase_first):
    with open(os.path.join(directory, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(definition, file, ensure_ascii=False)
    for name in CONFIGURATIONS:
        path = os.path.join(model, name)
        content = json.load(open(path, encoding="utf-8")) if os.path.exists(path) else {}
        if limit:
            content.pop("model_max_length", None)
            if name == "sentence_bert_config.json":
                content["max_seq_length"] = limit
            if name == "config.json":
                content["max_position_embeddings"] = limit
        if name == "sentence_bert_config.json":
            content["do_lower_case"] = lowercase_first
        json.dump(content, open(os.path.join(directory, name), "w", encoding="utf-8"))


def own_limit(model):
    read = lambda name: json.load(open(os.path.join(model, name), encoding="utf-8")) \
        if os.path.exists(os.path.join(model, name)) else {}
    stated = read("sentence_bert_config.json").get("max_seq_length") or read("tokenizer_config.json").get("model_max_length")
    return int(min(stated or 512, read("config.json").get("max_position_embeddings", 512)))


def reference(definition, limit, lowercase_first):
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lowercase_first:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), tokenizer.normalizer])
    tokenizer.enable_truncation(max_length=limit)
    return tokenizer


def differences(ovenbird, directory, tokenizer, texts):
    """The number of texts compared, and the first differences."""
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
        for index, text in enumerate(texts):
            file.write(json.dumps({"id": str(index), "text": text}) + "\n")
        file.flush()
        with open(file.name, encoding="utf-8") as source, open(file.name, "rb") as stdin, subprocess.Popen(
            [ovenbird, "tokenize", "--model", directory, "--input", "-"], stdin=stdin, stdout=subprocess.PIPE
        ) as process:
            count, found = 0, []
            while chunk := [json.loads(line) for _, line in zip(range(8192), source)]:
                encodings = tokenizer.encode_batch([entry["text"] for entry in chunk])
                for entry, encoding in zip(chunk, encodings):
                    line = process.stdout.readline()
                    if not line:
                        raise SystemExit(f"{ovenbird} stopped after {count} texts with {process.wait()}")
                    answer = json.loads(line)
                    count += 1
                    if str(answer["id"]) != entry["id"] or answer["ids"] != (encoding.ids or answer["ids"][:1]):
                        found.append((entry["text"], encoding.ids, answer["ids"]))
            if process.stdout.readline():
                raise SystemExit(f"{ovenbird} wrote more lines than it was given")
        if process.returncode:
            raise SystemExit(f"{ovenbird} ended with {process.returncode}")
    return count, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ovenbird", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, action="append", help="instead of seeds drawn now")
    parser.add_argument("--strings", type=int, default=5000, help="for each seed and variant")
    parser.add_argument("--quick", action="store_true", help="without the sweep over all scalars")
    parser.add_argument("--only", default="", help="variants whose name holds this")
    options = parser.parse_args()
    seeds = options.seed or [random.SystemRandom().randrange(1 << 32) for _ in range(options.seeds)]
    print("seeds:", *seeds, flush=True)
    base = json.load(open(os.path.join(options.model, "tokenizer.json"), encoding="utf-8"))
    vocabulary = sorted(base["model"]["vocab"])
    total = failures = 0
    for name, definition, scalars in variants(base):
        if options.only not in name:
            continue
        for limit in (None, UNLIMITED):
            started = time.monotonic()
            directory = tempfile.mkdtemp(prefix="tokenizer-fuzz-")
            lowercase_first = name == "do_lower_case"
            try:
                write_model(directory, options.model, definition, limit, lowercase_first)
                tokenizer = reference(definition, limit or own_limit(options.model), lowercase_first)

                def texts():
                    if limit is not None and not options.quick:
                        yield from scalar_texts(scalars)
                    for seed in seeds:
                        yield from hostile_texts(seed, options.strings, vocabulary)
                    yield ""
                    if scalars == "full" and (limit is not None or name == "the model's own"):
                        yield from large_texts(seeds[0], vocabulary)

                count, found = differences(options.ovenbird, directory, tokenizer, texts())
            finally:
                shutil.rmtree(directory)
            total += count
            failures += len(found)
            seconds = time.monotonic() - started
            print(f"{name}, limit {limit or 'own'}: {count} texts, {len(found)} differ ({seconds:.0f} s)", flush=True)
            for text, expected, got in found[:3]:
                print(f"  {text[:200]!r}\n    expected {expected[:60]}\n    got      {got[:60]}")
    print(f"{total} texts, {failures} differ")
    sys.exit(1 if failures or not total else 0)


if __name__ == "__main__":
    main()
