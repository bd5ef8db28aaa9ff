#!/usr/bin/env python3
"""Writes golden.json: small tokenizers and the ids that Hugging Face `tokenizers` gives for texts.

    python golden.py golden.json

The texts are drawn with the seed below; the fixture states it and the version of `tokenizers`.
"""
import json
import random
import sys

import tokenizers
from tokenizers import Tokenizer

SEED = 20260729
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEÉéèüßñøåçİıΣσςΩдЖ0123456789"
OTHERS = "!?.,;:'\"#-_()[]<>…—“”«»。、中文日本語東京한국각각अनीกำ\u0301\u0308\u0323\u0327\u094d\u302e½²ﬁǅ😀"
WORDS = ["the", "token", "##ize", "##ization", "##s", "hello", "world", "straße", "strasse", "ecole", "école", "[UNK]",
         "[PAD]", "[CLS]", "[SEP]", "##", "un", "##known", "##kno", "x", "日本", "##語"]
TEXTS = ["", " ", "Hello, world!", "tokenization tokens unknown unknow", "École ÉCOLE e\u0301cole", "Straße STRASSE",
         "日本語 東京中文", "a\u0323\u0301 \u0301\u0323a", "\u302e\u094d\u0301b", "[CLS] the [SEP] [PAD]", "a\0b\ufffdc\u200bd\u00ade",
         "x\u00a0y\u3000z\u2028w\u0085v\u000bu", "각 각", "İstanbul ΣΑΣ", "don't stop-it… now", "the\tthe\r\nthe", "😀the😀",
         "a" * 100, "a" * 101, "é" * 100, "é" * 101, "## ##ize token##ize", "<raw> x<raw>y <single>a <single> a<single>",
         "a  <left>  b  <right>  c <both> d<both>", "<Norm> <norm> <NORM>", "New York newyork new york", "<raw><raw>er",
         "the İ the", " spaced  spaced ", "日本<left>", "_<single>_ é<single> \u0301<single> ½<single>"]


def flags(content, **own):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **own}


RAW = [flags("[CLS]", special=True), flags("[SEP]", special=True), flags("<raw>"), flags("<raw>er"), flags(" spaced "),
       flags("<single>", single_word=True), flags("<left>", lstrip=True), flags("<right>", rstrip=True),
       flags("<both>", lstrip=True, rstrip=True, single_word=True)]
NORMALIZED = [flags("<Norm>", normalized=True), flags("New York", normalized=True, lstrip=True), flags("İ", normalized=True),
              flags("école", normalized=True, single_word=True), flags("東京", normalized=True, rstrip=True)]


def definition(added=(), processor=None, **switches):
    pieces = WORDS + [p for c in LETTERS + OTHERS for p in (c, "##" + c)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True, **switches}
    return {"version": "1.0", "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
            "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1,
                        "pad_type_id": 0, "pad_token": "[PAD]"},
            "added_tokens": list(added), "normalizer": bert, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": processor, "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": vocabulary}}


def special(name):
    return {"SpecialToken": {"id": name, "type_id": 0}}


TEMPLATE = {"type": "TemplateProcessing", "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}},
                                                    special("[SEP]")],
            "pair": [], "special_tokens": {name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]}
                                           for name in ("[CLS]", "[SEP]")}}
BERT = {"type": "BertProcessing", "sep": ["[SEP]", WORDS.index("[SEP]")], "cls": ["[CLS]", WORDS.index("[CLS]")]}
CASES = {
    "uncased": definition(RAW, TEMPLATE),
    "cased": definition(RAW, BERT, lowercase=False),
    "uncased, accents kept": definition(RAW, TEMPLATE, strip_accents=False),
    "cased, accents stripped": definition(RAW, TEMPLATE, strip_accents=True, lowercase=False),
    "Chinese together": definition(RAW, TEMPLATE, handle_chinese_chars=False),
    "not cleaned": definition(RAW, TEMPLATE, clean_text=False),
    "normalized tokens": definition(RAW + NORMALIZED, TEMPLATE),
    "normalized tokens, cased": definition(NORMALIZED + RAW, TEMPLATE, lowercase=False),
    "nothing added": definition(),
}


def texts():
    draw = random.Random(SEED)
    pieces = list(LETTERS + OTHERS) + WORDS + [token["content"] for token in RAW + NORMALIZED] + \
        [" ", "  ", "\u00a0", "\n", "\0", "\u200d", "\u0345", "\u1d165", "Å", "\u212b", "ﷺ", "\uf900", "\U0002f800", "\U0001d15e"]
    return TEXTS + ["".join(draw.choice(pieces) for _ in range(draw.randint(1, 14))) for _ in range(150)]


if __name__ == "__main__":
    cases, drawn = [], texts()
    for name, tokenizer in CASES.items():
        oracle = Tokenizer.from_str(json.dumps(tokenizer))
        oracle.no_truncation()
        oracle.no_padding()
        cases.append({"name": name, "tokenizer": tokenizer, "ids": [oracle.encode(text).ids for text in drawn]})
    made = {"script": "golden.py", "tokenizers": tokenizers.__version__, "seed": SEED, "texts": drawn, "cases": cases}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(made, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
