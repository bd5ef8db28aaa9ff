"""Hostile requests as raw bytes, each with what must become of it. `hostile.py` sends them."""

import dataclasses
import json

from server import quoted

NAME = "acceptance-hostile"
KEY = "the-right-key-of-the-acceptance-test"
COLLECTION = f"/v1/collections/{NAME}"
DOCUMENTS, SEARCH, EMBEDDINGS = f"{COLLECTION}/documents", f"{COLLECTION}/search", "/v1/embeddings"
JSON, NDJSON = "application/json", "application/x-ndjson"
DEEP = 100_000


@dataclasses.dataclass
class Case:
    """`kind`: "refused" with one of `statuses` in OpenAI's error shape; "alone": the middle one of three documents
    fails; "kept": a document that must be stored, found by its odd metadata and deleted, character for character."""

    group: str
    name: str
    kind: str
    raw: bytes = b""
    statuses: tuple = (400,)
    may_close: bool = False  # closing without an answer is as good
    half_close: bool = False  # the client sends FIN after the bytes
    contains: str = ""  # in the message
    bad: bytes = b""  # "alone": the bad document's JSON
    line: bool = True  # "alone": as a line of NDJSON, else inside a JSON array
    odd: str = ""  # "kept"


def request(
    method, path, body=b"", content_type=JSON, host="localhost", authorization=f"Bearer {KEY}", headers=(), length=None
):
    """The bytes of one HTTP/1.1 request; None leaves a header out."""
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    if body and content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if body or length is not None:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += ["Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def nested(opening, closing, depth, inner="1"):
    return (opening * depth + inner + closing * depth).encode()


def post(path, body, **rest):
    return request("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), **rest)


class Set:
    """Collects the cases of one group, numbering nothing: names tell them apart."""

    def __init__(self, cases, group):
        self.cases, self.group = cases, group

    def refused(self, name, raw, *statuses, **rest):
        self.cases.append(Case(self.group, name, "refused", raw, statuses or (400,), **rest))

    def alone(self, name, bad, both=True):
        self.cases.append(Case(self.group, f"{name}, as a line", "alone", bad=bad))
        if both:
            self.cases.append(Case(self.group, f"{name}, in an array", "alone", bad=bad, line=False))

    def kept(self, odd):
        self.cases.append(Case(self.group, f"kept: {odd[:40]!r}", "kept", odd=odd))


def deep_json(cases):
    add = Set(cases, "deep JSON").refused
    for name, body in {
        "arrays": nested("[", "]", DEEP),
        "objects": nested('{"a":', "}", DEEP),
        "mixed": nested('[{"a":', "}]", DEEP),
        "never closed": b"[" * DEEP,
        "a megabyte of brackets": b"[" * 1_000_000,
        "just too deep": nested("[", "]", 70),
        "in a field nobody reads": b'{"input":"x","user":' + nested("[", "]", DEEP) + b"}",
        "as input": b'{"input":' + nested("[", "]", DEEP, '"x"') + b"}",
    }.items():
        add(f"{name}, embeddings", post(EMBEDDINGS, body))
    for path in (DOCUMENTS, SEARCH, f"{DOCUMENTS}/delete"):
        add(f"objects, {path.rpartition('/')[2]}", post(path, nested('{"documents":', "}", DEEP)))
    add("as a collection", request("PUT", COLLECTION, nested('{"model":', "}", DEEP)))
    add(
        "metadata in an array",
        post(DOCUMENTS, b'{"documents":[{"id":"d","text":"t","metadata":' + nested('{"a":', "}", DEEP) + b"}]}"),
    )
    Set(cases, "deep JSON").alone(
        "deep metadata", b'{"id":"deep","text":"t","metadata":' + nested('{"a":', "}", 1000) + b"}", both=False
    )


def texts_that_cannot_be(cases, group, piece, in_json_string):
    """`piece` is a JSON escape, or raw bytes; in every place where a text can stand."""
    add = Set(cases, group)
    add.alone("in a text", b'{"id":"bad","text":"a%sb"}' % piece, both=in_json_string)
    add.alone("in an id", b'{"id":"ba%sd","text":"t"}' % piece, both=in_json_string)
    add.alone("in a metadata value", b'{"id":"bad","text":"t","metadata":{"a":"x%s"}}' % piece, both=in_json_string)
    add.alone("in a metadata key", b'{"id":"bad","text":"t","metadata":{"x%s":1}}' % piece, both=in_json_string)
    add.alone(
        "deep in metadata", b'{"id":"bad","text":"t","metadata":{"a":[{"b":["%s"]}]}}' % piece, both=in_json_string
    )
    add.refused("as a filter's value", post(SEARCH, b'{"query":"q","filter":{"a":"x%s"}}' % piece))
    add.refused("as a filter's field", post(SEARCH, b'{"query":"q","filter":{"x%s":1}}' % piece))
    add.refused("in $in", post(SEARCH, b'{"query":"q","filter":{"a":{"$in":["%s"]}}}' % piece))
    add.refused("in a filter to delete by", post(f"{DOCUMENTS}/delete", b'{"filter":{"a":"%s"}}' % piece))
    add.refused("as a model", post(EMBEDDINGS, b'{"input":"x","model":"%s"}' % piece), 400, 404)
    add.refused("as an encoding", post(EMBEDDINGS, b'{"input":"x","encoding_format":"%s"}' % piece))


def unreadable_texts(cases):
    texts_that_cannot_be(cases, "NUL", b"\\u0000", True)
    texts_that_cannot_be(cases, "surrogates", b"\\ud800", True)
    add = Set(cases, "NUL")
    add.refused("raw, in JSON", post(EMBEDDINGS, b'{"input":"a\x00b"}'))
    add.refused("raw, before JSON", post(EMBEDDINGS, b'\x00{"input":"a"}'))
    add.alone("raw", b'{"id":"bad","text":"a\x00b"}', both=False)
    add.refused("in a collection's name", request("PUT", "/v1/collections/a%00b", b"{}"), 400, 404)
    add.refused("in a document's path", request("GET", f"{DOCUMENTS}/a%00b"), 400, 404)
    add.refused("in a header", request("GET", "/v1/models", headers=["X-Odd: a\x00b"]), may_close=True)
    add.refused("in the path, raw", request("GET", "/v1/mod\x00els"), 400, 404, may_close=True)
    add = Set(cases, "surrogates")
    for name, piece in {
        "low first": b"\\udc00\\ud800",
        "high, then a letter": b"\\ud83dx",
        "high twice": b"\\ud83d\\ud83d",
        "low": b"\\udfff",
        "CESU-8": b"\xed\xa0\x80",
        "not UTF-8": b"\xff\xfe",
        "overlong": b"\xc0\xaf",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "a character cut": b"\xe2\x82",
    }.items():
        add.refused(f"{name}, as input", post(EMBEDDINGS, b'{"input":["good","%s"]}' % piece))
        add.refused(f"{name}, as query", post(SEARCH, b'{"query":"%s"}' % piece))
        add.alone(name, b'{"id":"bad","text":"%s"}' % piece)


def huge_numbers(cases):
    add = Set(cases, "1e400")
    for name, body in {
        "dimensions": b'{"input":"x","dimensions":1e400}',
        "input": b'{"input":1e400}',
        "in a list": b'{"input":["x",1e400]}',
        "a token id": b'{"input":[1e400],"token_ids":"model"}',
    }.items():
        add.refused(name, post(EMBEDDINGS, body))
    for name, body in {
        "k": b'{"query":"q","k":1e400}',
        "k, negative": b'{"query":"q","k":-1e400}',
        "in a vector": b'{"vector":[1e400,0,1]}',
        "query": b'{"query":1e400}',
        "a filter's value": b'{"query":"q","filter":{"a":1e400}}',
        "a filter's bound": b'{"query":"q","filter":{"a":{"$gt":-1e400}}}',
        "in $in": b'{"query":"q","filter":{"a":{"$in":[1,1e400]}}}',
        "a number of 400 digits": b'{"query":"q","filter":{"a":' + b"9" * 400 + b"}}",
    }.items():
        add.refused(name, post(SEARCH, body))
    add.refused("limit of a list", request("GET", f"{DOCUMENTS}?limit=1e400"))
    for name, metadata in {
        "in metadata": b'{"a":1e400}',
        "in metadata, negative": b'{"a":-1e400}',
        "deep in metadata": b'{"a":[{"b":1e400}]}',
        "a huge exponent": b'{"a":1e99999999999}',
        "400 digits": b'{"a":%s}' % (b"7" * 400),
    }.items():
        add.alone(name, b'{"id":"bad","text":"t","metadata":%s}' % metadata)
    add.alone("as id", b'{"id":1e400,"text":"t"}')


def wrong_k(cases):
    add = Set(cases, "wrong k")
    for k in (
        b"0",
        b"-1",
        b"1001",
        b"1.5",
        b'"10"',
        b"true",
        b"[]",
        b"{}",
        b"99999999999999999999",
        b"1e18",
        b"-0.5",
        b'""',
        b"9223372036854775808",
    ):
        add.refused(f"k={k.decode()}", post(SEARCH, b'{"query":"q","k":%s}' % k))
    add.refused("k twice, the last wrong", post(SEARCH, b'{"query":"q","k":1,"k":0}'))


def huge_ids(cases):
    add = Set(cases, "huge ids")
    for name, identifier in {
        "513 bytes": b"i" * 513,
        "a kilobyte": b"i" * 1024,
        "100 kB": b"i" * 100_000,
        "900 kB": b"i" * 900_000,
        "257 letters of two bytes": "é".encode() * 257,
        "escaped": b"\\u00e9" * 257,
        "spaces": b" " * 600,
    }.items():
        add.alone(name, b'{"id":"%s","text":"t"}' % identifier)
    for name, identifier in {
        "empty": b'""',
        "null": b"null",
        "an object": b"{}",
        "a list": b"[]",
        "true": b"true",
        "a fraction": b"1.5",
    }.items():
        add.alone(name, b'{"id":%s,"text":"t"}' % identifier)
    add.alone("missing", b'{"text":"t"}')
    add.refused("looked up", request("GET", f"{DOCUMENTS}/{'i' * 2000}"), 400, 404, 414)
    add.refused("deleted", request("DELETE", f"{DOCUMENTS}/{'i' * 2000}"), 400, 404, 414)
    add.refused("a path of 200 kB", request("GET", f"{DOCUMENTS}/{'i' * 200_000}"), 400, 404, 414, 431)
    add.refused("a collection's name of 64", request("PUT", f"/v1/collections/{'c' * 64}", b"{}"), 400, 404)
    add.refused(
        "a collection's name of 50 kB", request("PUT", f"/v1/collections/{'c' * 50_000}", b"{}"), 400, 404, 414, 431
    )


def filters(cases):
    add = Set(cases, "filter depth")
    for depth in (70, 1000, 20_000):
        add.refused(
            f"$not, {depth} deep",
            post(SEARCH, b'{"query":"q","filter":' + nested('{"$not":', "}", depth, '{"a":1}') + b"}"),
        )
        add.refused(
            f"$and, {depth} deep",
            post(SEARCH, b'{"query":"q","filter":' + nested('{"$and":[', "]}", depth, '{"a":1}') + b"}"),
        )
        add.refused(
            f"$or, {depth} deep, to delete",
            post(f"{DOCUMENTS}/delete", b'{"filter":' + nested('{"$or":[', "]}", depth, '{"a":1}') + b"}"),
        )
    for name, condition in {
        "unknown operator": {"a": {"$where": "1"}},
        "unknown at the top": {"$nor": []},
        "$and of no list": {"$and": {}},
        "$not of a list": {"$not": []},
        "$in of no list": {"a": {"$in": "x"}},
        "$in of lists": {"a": {"$in": [[1]]}},
        "$gt of an object": {"a": {"$gt": {}}},
        "$exists of a text": {"a": {"$exists": "yes"}},
        "an empty field": {"": 1},
        "two dots": {"a..b": 1},
        "a list as value": {"a": [1]},
        "a text": "a",
        "a list": [{"a": 1}],
        "a number": 3,
    }.items():
        add.refused(name, post(SEARCH, {"query": "q", "filter": condition}))


def quotes(cases):
    add = Set(cases, "SQL quotes")
    for odd in (
        "'; DROP TABLE documents; --",
        "a' OR '1'='1",
        '" OR ""="',
        "\\'; SELECT 1; --",
        "$1",
        "${1}",
        "%s%d%n",
        "''''",
        "E'\\x00'",
        "x\"}'::jsonb; --",
        "/* comment */",
        "a\\",
        "$$; DROP SCHEMA ovenbird; $$",
        "`id`",
        "_%",
        "a\tb\nc\r",
        "/../%2e%2e/?#&=",
        "😀'\u2028\u202e",
    ):
        add.kept(odd)
        add.refused(
            f"a collection named {odd[:30]!r}", request("PUT", f"/v1/collections/{quoted(odd)}", b"{}"), 400, 404
        )
    add.refused(
        "a list after a quote, with a quoted limit",
        request("GET", f"{DOCUMENTS}?after={quoted(chr(39))}&limit={quoted(chr(39))}"),
    )


ALL = [deep_json, unreadable_texts, huge_numbers, wrong_k, huge_ids, filters, quotes]
