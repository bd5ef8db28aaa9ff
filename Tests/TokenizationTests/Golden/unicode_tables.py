#!/usr/bin/env python3
"""Writes Sources/Tokenization/UnicodeTables.swift: what Hugging Face `tokenizers` knows of every Unicode scalar.

The library joins tables of several Unicode versions (categories, decomposition, lower case, \\w), none of which is the
Swift library's, so they are read out of the library itself, scalar by scalar, and packed. Run with

    python unicode_tables.py ../../../Sources/Tokenization/UnicodeTables.swift

and `tokenizers` installed; the version is written into the file. Nothing is drawn at random.
"""
import json
import sys

import tokenizers
from tokenizers import Tokenizer, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
HANGUL = range(0xAC00, 0xD7A4)


def bert(**switches):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **switches})


def matcher(marker, **flags):
    """A tokenizer that answers id 1 where it sees `marker` as an added token with these flags."""
    token = dict(id=1, content=marker, single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [{**token, **flags}],
        "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {"[UNK]": 0}}}))


def probe():
    clean, chinese, strip = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    nfd, lower, words = normalizers.NFD(), normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    single, trim = matcher("\ue000", single_word=True), matcher("\ue000", rstrip=True)
    sets = {name: [] for name in ("removed", "whitespace", "chinese", "punctuation", "mark", "word")}
    decompositions, lowercase = {}, {}
    for code in SCALARS:
        c = chr(code)
        cleaned = clean.normalize_str(c)
        pieces = [piece for piece, _ in words.pre_tokenize_str("a" + c + "a")]
        if cleaned == "":
            sets["removed"].append(code)
        if pieces == ["a", "a"]:
            sets["whitespace"].append(code)
        elif pieces == ["a", c, "a"]:
            sets["punctuation"].append(code)
        else:
            assert pieces == ["a" + c + "a"], hex(code)
        assert cleaned in ("", " " if pieces == ["a", "a"] else c), hex(code)
        spaced = chinese.normalize_str(c)
        if spaced == f" {c} ":
            sets["chinese"].append(code)
        else:
            assert spaced == c, hex(code)
        if (decomposed := nfd.normalize_str(c)) != c:
            decompositions[code] = decomposed
        elif strip.normalize_str("a" + c) == "a":
            sets["mark"].append(code)
        if (lowered := lower.normalize_str(c)) != c:
            lowercase[code] = lowered
            assert bert(lowercase=True).normalize_str(c) == lowered, hex(code)
        if 1 not in single.encode(c + "\ue000").ids:
            sets["word"].append(code)
        # \s of the added tokens' lstrip and rstrip is the whitespace of the pre-tokenizer.
        trimmed = trim.encode("\ue000" + c + "x").offsets[0][1] == 2 if code != 0xE000 else False
        assert trimmed == (pieces == ["a", "a"]), hex(code)
    marks = set(sets["mark"])
    for code, text in decompositions.items():
        kept = "".join(x for x in text if ord(x) not in marks)
        assert strip.normalize_str("a" + chr(code)) == "a" + kept, hex(code)
        assert nfd.normalize_str(text) == text and (code not in HANGUL or text == hangul(code)), hex(code)
    return sets, {c: t for c, t in decompositions.items() if c not in HANGUL}, lowercase


def hangul(code):
    index = code - 0xAC00
    jamo = [0x1100 + index // 588, 0x1161 + index % 588 // 28] + ([0x11A7 + index % 28] if index % 28 else [])
    return "".join(map(chr, jamo))


# One scalar of each canonical combining class in use, lowest class first.
REPRESENTATIVES = {
    1: 0x334, 6: 0x16FF0, 7: 0x93C, 8: 0x3099, 9: 0x94D, 10: 0x5B0, 11: 0x5B1, 12: 0x5B2, 13: 0x5B3, 14: 0x5B4, 15: 0x5B5,
    16: 0x5B6, 17: 0x5B7, 18: 0x5B8, 19: 0x5B9, 20: 0x5BB, 21: 0x5BC, 22: 0x5BD, 23: 0x5BF, 24: 0x5C1, 25: 0x5C2,
    26: 0xFB1E, 27: 0x64B, 28: 0x64C, 29: 0x64D, 30: 0x64E, 31: 0x64F, 32: 0x650, 33: 0x651, 34: 0x652, 35: 0x670,
    36: 0x711, 84: 0xC55, 91: 0xC56, 103: 0xE38, 107: 0xE48, 118: 0xEB8, 122: 0xEC8, 129: 0xF71, 130: 0xF72, 132: 0xF74,
    202: 0x321, 214: 0x1DCE, 216: 0x31B, 218: 0x302A, 220: 0x316, 222: 0x59A, 224: 0x302E, 226: 0x1D16D, 228: 0x5AE,
    230: 0x300, 232: 0x315, 233: 0x35C, 234: 0x35D, 240: 0x345,
}


def combining_classes(decompositions):
    """The class of each scalar, told by which representatives it changes places with."""
    nfd = normalizers.NFD()

    def swaps(first, second):
        text = "a" + chr(first) + chr(second)
        return nfd.normalize_str(text) != text

    known = {k: c for k, c in REPRESENTATIVES.items() if swaps(0x345, c) or k == 240}
    classes = {}
    for code in SCALARS:
        if code in decompositions or code in HANGUL:
            continue
        above = [k for k, c in known.items() if swaps(c, code)]  # classes above the scalar's own, if it has one
        below = [k for k, c in known.items() if swaps(code, c)]  # classes below it
        if not above and not below:
            continue
        own = [k for k in known if k not in above and k not in below]
        assert len(own) == 1, (hex(code), own)
        classes[code] = own[0]
    return classes


def base36(number):
    text = ""
    while True:
        text = DIGITS[number % 36] + text
        number //= 36
        if number == 0:
            return text


def runs(codes):
    """Pairs: how many scalars lie between, how many are in."""
    numbers, end, index = [], 0, 0
    while index < len(codes):
        start = codes[index]
        length = 1
        while index + length < len(codes) and codes[index + length] == start + length:
            length += 1
        numbers += [start - end, length]
        end = start + length
        index += length
    return numbers


def class_runs(classes):
    numbers, end, codes, index = [], 0, sorted(classes), 0
    while index < len(codes):
        start = codes[index]
        length = 1
        while index + length < len(codes) and codes[index + length] == start + length and \
                classes[start + length] == classes[start]:
            length += 1
        numbers += [start - end, length, classes[start]]
        end = start + length
        index += length
    return numbers


def mappings(table):
    numbers, previous = [], 0
    for code in sorted(table):
        numbers += [code - previous, len(table[code]), *map(ord, table[code])]
        previous = code
    return numbers


def swift(sets, classes, decompositions, lowercase):
    tables = [
        ("removed", "What `clean_text` removes.", runs(sets["removed"])),
        ("whitespace", "White space, for `clean_text`, the pre-tokenizer and the flags of added tokens.",
         runs(sets["whitespace"])),
        ("chinese", "What `handle_chinese_chars` puts spaces around.", runs(sets["chinese"])),
        ("punctuation", "What the pre-tokenizer makes a word of its own.", runs(sets["punctuation"])),
        ("marks", "What stripping accents removes after decomposition.", runs(sets["mark"])),
        ("wordCharacters", "What `single_word` takes for a part of a word.", runs(sets["word"])),
        ("combiningClasses", "Canonical combining classes other than 0: gap, length, class.", class_runs(classes)),
        ("decompositions", "Full canonical decompositions but Hangul's: gap, count, scalars.", mappings(decompositions)),
        ("lowercase", "Lower case of a scalar alone: gap, count, scalars.", mappings(lowercase)),
    ]
    lines = [
        "// Generated by Tests/TokenizationTests/Golden/unicode_tables.py from the Python package",
        f"// tokenizers {tokenizers.__version__}. Do not edit.",
        "",
        "/// Numbers to the base 36 with spaces between them. Sets are pairs: scalars left out, scalars in.",
        "enum UnicodeTables {",
    ]
    for index, (name, comment, numbers) in enumerate(tables):
        lines += [""] if index else []
        lines += [f"    /// {comment}", f"    static let {name}: StaticString =", '        """']
        line = "       "
        rows = []
        for number in map(base36, numbers):
            if len(line) + 1 + len(number) > 117:
                rows.append(line)
                line = "       "
            line += " " + number
        rows.append(line)
        lines += [row + " \\" for row in rows[:-1]] + [rows[-1], '        """']
    return "\n".join(lines + ["}", ""])


if __name__ == "__main__":
    sets, decompositions, lowercase = probe()
    classes = combining_classes(decompositions)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write(swift(sets, classes, decompositions, lowercase))
    print({name: len(codes) for name, codes in sets.items()}, len(classes), len(decompositions), len(lowercase))
