"""Hostile requests below and beside JSON: keys, NDJSON that breaks off, wrong headers, wrong inputs."""

import json

from hostile_requests import COLLECTION, DOCUMENTS, EMBEDDINGS, JSON, KEY, NDJSON, SEARCH, Set, post, request

LINE = b'{"id":"whole","text":"a whole line"}\n'


def keys(cases):
    add = Set(cases, "key").refused
    routes = {
        "embeddings": ("POST", EMBEDDINGS, b'{"input":"x"}'),
        "models": ("GET", "/v1/models", b""),
        "search": ("POST", SEARCH, b'{"query":"q"}'),
        "upsert": ("POST", DOCUMENTS, b'{"documents":[]}'),
        "drop": ("DELETE", COLLECTION, b""),
        "collections": ("GET", "/v1/collections", b""),
    }
    for name, route in routes.items():
        add(f"missing, {name}", request(*route, authorization=None), 401)
        add(f"wrong, {name}", request(*route, authorization="Bearer wrong"), 401)
    body = b'{"input":"x"}'
    for name, value in {
        "no scheme": KEY,
        "Basic": f"Basic {KEY}",
        "empty": "Bearer ",
        "a prefix": f"Bearer {KEY[:-1]}",
        "longer": f"Bearer {KEY}x",
        "upper case": f"Bearer {KEY.upper()}",
        "two keys": f"Bearer {KEY},{KEY}",
        "not ASCII": "Bearer \xff\xfe",
        "quoted": f'Bearer "{KEY}"',
    }.items():
        add(name, request("POST", EMBEDDINGS, body, authorization=value), 401, 400)
    add("of 60 kB", request("POST", EMBEDDINGS, body, authorization="Bearer " + "k" * 60_000), 400, 401, 431)
    add("in the query", request("POST", f"{EMBEDDINGS}?api_key={KEY}", body, authorization=None), 401)
    add("in another header", request("POST", EMBEDDINGS, body, authorization=None, headers=[f"X-Api-Key: {KEY}"]), 401)


def truncated_ndjson(cases):
    add = Set(cases, "truncated NDJSON")

    def upsert(body, **rest):
        return request("POST", DOCUMENTS, body, content_type=NDJSON, **rest)

    for name, bad in {
        "in a text": b'{"id":"bad","te',
        "in a value": b'{"id":"bad","text":"abc',
        "in an escape": b'{"id":"bad","text":"\\u12',
        "in a character": b'{"id":"bad","text":"\xe2\x82',
        "before the end": b'{"id":"bad","text":"abc"',
        "in a number": b'{"id":1.',
        "one brace": b"{",
        "in a word": b'{"id":"bad","text":"t","metadata":{"a":tru',
        "not JSON": b"hello",
        "a list": b"[1,2]",
        "two on one line": b'{"id":"bad","text":"t"}{"id":"bad2","text":"t"}',
        "no text": b'{"id":"bad"}',
        "empty text": b'{"id":"bad","text":""}',
        "a number as text": b'{"id":"bad","text":3}',
        "metadata as a list": b'{"id":"bad","text":"t","metadata":[]}',
        "longer than a line may be": b'{"id":"bad","text":"' + b"x" * 1_100_000 + b'"}',
    }.items():
        add.alone(name, bad, both=False)
    cut = {"may_close": True, "half_close": True}
    add.refused("shorter than its length", upsert(LINE, length=len(LINE) + 100), **cut)
    add.refused("shorter than its length, mid-line", upsert(LINE + b'{"id":"b', length=1000), **cut)
    add.refused("nothing of its length", upsert(b"", length=100), 400, 415, **cut)
    add.refused("a length that is none", upsert(LINE, length="many"), may_close=True)
    add.refused("a negative length", upsert(LINE, length=-5), may_close=True)
    add.refused("a length beyond 64 bits", upsert(LINE, length=10**30), 400, 413, may_close=True)
    add.refused("two lengths", upsert(LINE, headers=["Content-Length: 3"]), may_close=True)
    chunked = {"headers": ["Transfer-Encoding: chunked", f"Content-Type: {NDJSON}"]}
    for name, body in {
        "a chunk cut": b"40\r\n" + LINE,
        "no last chunk": b"%x\r\n%s\r\n" % (len(LINE), LINE),
        "a chunk's size that is none": b"zz\r\n" + LINE,
        "a chunk's size beyond 64 bits": b"f" * 30 + b"\r\n" + LINE,
        "a chunk longer than its size": b"5\r\n" + LINE + b"\r\n0\r\n\r\n",
    }.items():
        add.refused(name, request("POST", DOCUMENTS, **chunked) + body, **cut)
    add.refused(
        "unknown transfer encoding",
        request("POST", DOCUMENTS, headers=["Transfer-Encoding: magic", f"Content-Type: {NDJSON}"]) + LINE,
        400,
        501,
        **cut,
    )


def inputs(cases):
    add = Set(cases, "token ids").refused
    for name, value in {
        "one text": [101, 7592],
        "texts": [[101], [102, 103]],
        "mixed": ["a", [101]],
        "a lone id in texts": ["a", 101],
    }.items():
        add(name, post(EMBEDDINGS, {"input": value}), contains="" if "a" in value else "check_embedding_ctx_length")
    for name, value in {
        "too large": [10**9],
        "negative": [-1],
        "a fraction": [1.5],
        "huge": [10**30],
        "empty": [[]],
        "a text among them": [[1, "a"]],
        "nested": [[[1]]],
    }.items():
        add(f"the model's: {name}", post(EMBEDDINGS, {"input": value, "token_ids": "model"}))
    add("a wrong vocabulary", post(EMBEDDINGS, {"input": [1], "token_ids": "cl100k"}))
    add = Set(cases, "empty inputs").refused
    for value in ("", [], [""], ["a", ""], None, {}, 3, True, [None], [["a"]], [{}]):
        add(f"input={json.dumps(value)}", post(EMBEDDINGS, {"input": value}))
    add("no input", post(EMBEDDINGS, {}))
    for body in (
        b"",
        b" ",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"input":"x"',
        b"{'input':'x'}",
        b'{"input":"x"}}',
        b'{"input":"x",}',
        b"NaN",
        b'{"input":"\n"}',
    ):
        add(
            f"body={body.decode()}",
            request("POST", EMBEDDINGS, body, length=len(body), headers=[] if body else [f"Content-Type: {JSON}"]),
        )
    add = Set(cases, "too much").refused
    add("2,049 inputs", post(EMBEDDINGS, {"input": ["x"] * 2049}), 400, 413)
    add("100,000 inputs", post(EMBEDDINGS, {"input": ["x"] * 100_000}), 400, 413)
    add("40 MiB announced", request("POST", EMBEDDINGS, b'{"input":"', length=40 << 20), 413)
    add("33 MiB sent", post(EMBEDDINGS, {"input": "x" * (33 << 20)}), 413, may_close=True)
    add(
        "33 MiB sent in chunks",
        request("POST", EMBEDDINGS, headers=["Transfer-Encoding: chunked", f"Content-Type: {JSON}"])
        + (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 33
        + b"0\r\n\r\n",
        413,
        may_close=True,
    )
    add("too long, not to be cut", post(EMBEDDINGS, {"input": ["a", "word " * 9000], "truncate": "none"}))
    add(
        "100 kB of headers",
        request("GET", "/v1/models", headers=[f"X-{n}: {'v' * 1000}" for n in range(100)]),
        400,
        431,
        may_close=True,
    )
    add = Set(cases, "wrong values").refused
    for name, value in {
        "dimensions": [0, -1, 100_000, 1.5, "x", [], True],
        "encoding_format": ["md5", 3, []],
        "truncate": ["maybe", 1],
        "priority": ["urgent", 1],
        "on_error": ["skip", "PER_ITEM", 1, True, [], {}],
        "model": [3, []],
    }.items():
        for wrong in value:
            add(f"{name}={json.dumps(wrong)}", post(EMBEDDINGS, {"input": "x", name: wrong}))
    for name, body in {
        "no query": {},
        "both": {"query": "q", "vector": [1.0]},
        "two dimensions": {"vector": [1.0, 0.0]},
        "no dimension": {"vector": []},
        "texts in a vector": {"vector": ["a"]},
        "zero": {"vector": [0.0] * 384},
        "empty query": {"query": ""},
        "include": {"query": "q", "include": ["everything"]},
    }.items():
        add(f"search, {name}", post(SEARCH, body))
    for name, value in {
        "an object": {},
        "a number": 3,
        "an empty list": [],
        "token ids": [101, 7592],
        "2,049 empty texts": [""] * 2049,
    }.items():
        add(f"item by item, {name}", post(EMBEDDINGS, {"input": value, "on_error": "per_item"}))
    add("an unknown model", post(EMBEDDINGS, {"input": "x", "model": "unknown"}), 404)
    add("an unknown collection", post("/v1/collections/unknown/search", {"query": "q"}), 404)
    add("another metric", request("PUT", "/v1/collections/hostile-metric", b'{"metric":"hamming"}'))


def headers(cases):
    add = Set(cases, "content types").refused
    for kind in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "json",
        "application/jsonp",
        None,
    ):
        for name, path, body in (
            ("embeddings", EMBEDDINGS, b'{"input":"x"}'),
            ("upsert", DOCUMENTS, b'{"documents":[{"id":"a","text":"t"}]}'),
        ):
            add(f"{kind!r}, {name}", request("POST", path, body, content_type=kind), 415)
    add("NDJSON to embeddings", request("POST", EMBEDDINGS, b'{"input":"x"}', content_type=NDJSON), 415)
    add = Set(cases, "X-Request-Timeout-Ms").refused
    for value in ("", "0", "-1", "+1", "3600001", "1.5", "1e3", "soon", "5ms", "5, 6", "9" * 30, "0x5", "\xb2"):
        for name, path, body in (
            ("embeddings", EMBEDDINGS, b'{"input":"x"}'),
            ("search", SEARCH, b'{"query":"q"}'),
            ("upsert", DOCUMENTS, b'{"documents":[{"id":"a","text":"t"}]}'),
        ):
            add(
                f"{value[:10]!r}, {name}",
                request("POST", path, body, headers=[f"X-Request-Timeout-Ms: {value}"]),
                contains="X-Request-Timeout-Ms",
            )
    add(
        "twice",
        request("POST", EMBEDDINGS, b'{"input":"x"}', headers=["X-Request-Timeout-Ms: 5", "X-Request-Timeout-Ms: 6"]),
    )
    add = Set(cases, "Host").refused
    for host in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:8080",
        "evil.example#localhost",
        "[::2]",
        "10.0.0.1",
        "",
        "local host",
        None,
    ):
        add(f"Host: {host}", request("GET", "/v1/models", host=host), 400, 403, 421)
    add("two hosts", request("GET", "/v1/models", headers=["Host: evil.example"]), 400, 403, 421)
    add = Set(cases, "not a request").refused
    add("an unknown path", request("GET", "/v2/nothing"), 404)
    add("a wrong method", request("GET", EMBEDDINGS), 404, 405)
    add("an unknown method", request("BREW", "/v1/models"), 400, 404, 405, 501, may_close=True)
    add("a path upwards", request("GET", "/../../etc/passwd"), 400, 404)
    add("a broken escape", request("GET", f"{DOCUMENTS}/%zz"), 400, 404)
    for name, raw in {
        "noise": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/9": b"GET /v1/models HTTP/9.9\r\n\r\n",
        "no version": b"GET /v1/models\r\n\r\n",
        "spaces": b" " * 5000,
        "a folded header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nA: b\r\n  c\r\n\r\n",
        "a header without a name": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
    }.items():
        add(name, raw, 400, 401, 404, 426, 505, may_close=True, half_close=True)


ALL = [keys, truncated_ndjson, inputs, headers]
