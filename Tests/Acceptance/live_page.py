"""The live page in a real browser: `ovenbird serve` under load, headless Chromium before it.

Claims: numbers move and passes are drawn, in both lanes; jobs show their progress; the keyboard reaches everything and
works it; the picture's table holds the same passes; the page fits 360 and 1,600 px; light and dark differ, and text has a
contrast of at least 4.5 to what lies behind it in both; with reduced motion the picture stands still for a second; a lost
server is said and found again; where keys are set the page asks for one, refuses a wrong one, and keeps the right one in
its tab alone; `--no-dashboard` answers 404. No error in the console but those of lost connections and refused keys.

With `--screenshots DIR` it leaves live-light.png and live-dark.png there, taken under load.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time

from browser import Browser, BrowserError
from png import reduced
from server import Server, Verdict, add_server_arguments, read_texts

KEY = "a-key-of-the-test"
SIZE = (1280, 1000)  # of the window
LARGEST_SCREENSHOT = 200_000  # bytes
READER_KINDS = ("network",)  # complaints of the browser itself about lost connections and refused keys


def words(chance, least, most):
    """A text of so many words, for servers without a file of texts."""
    syllables = "ba ke ro lo mu ta ni so fe du gra sti plo".split()
    return " ".join("".join(chance.choices(syllables, k=2)) for _ in range(chance.randint(least, most)))


class Load:
    """Clients of two kinds, as long as the context lasts: some with few texts each, some with many in the bulk lane."""

    def __init__(self, server, texts, interactive, bulk):
        self.server, self.texts = server, texts
        self.kinds = [("interactive", (1, 4), 0.1)] * interactive + [("bulk", (16, 48), 0.0)] * bulk
        self.stopped = threading.Event()
        self.answered = 0
        self.failures = []
        self.lock = threading.Lock()

    def __enter__(self):
        self.threads = [
            threading.Thread(target=self.work, args=(number, *kind)) for number, kind in enumerate(self.kinds)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def work(self, number, lane, sizes, pause):
        chance = random.Random(number)
        client = self.server.client(timeout=120)
        while not self.stopped.is_set():
            texts = chance.choices(self.texts, k=chance.randint(*sizes))
            body = {"input": texts, "priority": lane, "encoding_format": "base64"}
            try:
                reply = client.post("/v1/embeddings", body)
                with self.lock:
                    self.answered += reply.status == 200
                    if reply.status not in (200, 429, 503):
                        self.failures.append(f"{reply.status}: {reply.body[:200]}")
            except OSError as error:  # a server that is stopped on purpose
                if not self.server.alive():
                    return
                self.failures.append(repr(error))
            self.stopped.wait(chance.expovariate(1 / pause) if pause else 0)


# JavaScript that the claims ask.
TEXT = "document.querySelector({}).textContent"
STATE = "document.getElementById('status').dataset.state"
PIXELS = """(() => {
  // How many pixels of the picture have (nearly) the colour of a lane or of padding.
  const canvas = document.getElementById('timeline');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const wanted = Object.fromEntries(['interactive', 'bulk', 'padding'].map((name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
    return [name, [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))];
  }));
  const counts = { interactive: 0, bulk: 0, padding: 0 };
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    sum = (sum * 31 + data[at] + data[at + 1] * 7 + data[at + 2] * 13) % 1000000007;
    for (const [name, colour] of Object.entries(wanted)) {
      if (colour.every((part, place) => Math.abs(part - data[at + place]) < 6)) counts[name] += 1;
    }
  }
  return { ...counts, sum };
})()"""
FOCUS = """(() => {
  const one = document.activeElement;
  if (one === null || one === document.body) return '';
  const outline = getComputedStyle(one).outlineStyle;
  return (one.id || one.className || one.tagName.toLowerCase()) + (outline === 'none' ? ' unseen' : '');
})()"""
CONTRAST = """(() => {
  // The least contrast (WCAG 2) of any text that is shown to the first background behind it.
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => {
    const part = one / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility() || node.closest('script, style')) continue;
    let behind = node;
    while (behind && (parts(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const [one, other] = [light(parts(getComputedStyle(node).color)),
      light(parts(getComputedStyle(behind ?? document.body).backgroundColor))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < worst[0]) worst = [contrast, walker.currentNode.textContent.trim().slice(0, 40)];
  }
  return worst;
})()"""
OVERFLOW = """(() => {
  // How far anything reaches beyond the window's right edge, unless it scrolls by itself.
  const width = document.documentElement.clientWidth;
  const reach = [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility()
    && !one.closest('.scroll, .hidden-text, .skip, svg')).map((one) => one.getBoundingClientRect().right);
  return Math.max(document.documentElement.scrollWidth - width, Math.max(...reach) - width);
})()"""


def tile(title):
    return (
        "[...document.querySelectorAll('.tile')]"
        f".find((one) => one.querySelector('dt').textContent === {json.dumps(title)}).querySelector('.value').textContent"
    )


def new_complaints(browser, start, forgiven=()):
    return [one for one in browser.complaints[start:] if one[0] not in forgiven]


def shows_the_load(browser, verdict):
    browser.await_truth(f"{STATE} === 'live'", "the page is connected")
    browser.await_truth(f"parseFloat({tile('Texts a second')}) > 0", "texts are counted")
    browser.await_truth("document.querySelectorAll('#jobs progress').length > 0", "a job is shown")
    seen = set()
    for _ in range(12):
        seen.add((browser.value(tile("Texts a second")), browser.value(tile("Tokens a second"))))
        time.sleep(0.25)
    verdict.expect(len(seen) >= 4, f"numbers move: {len(seen)} different readings in three seconds, at least 4")
    for title in ("Effective batch", "Budget filled", "Real tokens"):
        verdict.expect(browser.value(tile(title)) not in ("", "–"), f"{title} has a value under load")
    for colour in ("interactive", "bulk", "padding"):
        browser.await_truth(f"({PIXELS})['{colour}'] > 20", f"the picture shows {colour}")
    sums = {browser.value(PIXELS)["sum"] for _ in range(6)}
    verdict.expect(len(sums) >= 4, f"the picture moves: {len(sums)} of 6 looks differ, at least 4")
    browser.await_truth("document.querySelectorAll('.tray rect').length > 4", "the last passes are drawn large")
    name = browser.value("document.getElementById('server').textContent")
    verdict.expect("batching" in name and "thread" in name, f"the head says what the server is: {name}")


def table_equals_picture(browser, verdict):
    """Opened by the keyboard, from wherever the focus is."""
    for _ in range(12):
        if browser.value("document.activeElement.tagName") == "SUMMARY":
            break
        browser.press("Tab")
    browser.press("Enter")
    browser.await_truth(
        "document.querySelectorAll('#pass-table tbody tr').length >= 10", "the table lists the latest passes"
    )
    rows = browser.value(
        "[...document.querySelectorAll('#pass-table tbody tr')].map((row) =>"
        " [...row.children].map((cell) => cell.textContent))"
    )
    known = browser.value(
        "board.timeline.passes.map((pass) => [pass.pass, pass.thread, pass.lane, pass.texts, pass.width, pass.tokens])"
    )
    known = {str(one[0]): [str(part) for part in one] for one in known}
    for row in rows:
        if row[0] in known:
            verdict.expect(row[:6] == known[row[0]], f"a row says what the picture shows: {row} and {known[row[0]]}")
    verdict.expect(any(row[0] in known for row in rows), "the table's passes are the picture's")


def keyboard_reaches_everything(browser, verdict):
    browser.value("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        browser.press("Tab")
        reached.append(browser.value(FOCUS))
    for wanted in ("skip", "window", "pause"):
        verdict.expect(wanted in reached, f"Tab reaches {wanted}, visibly: {reached}")
    operable = browser.value(
        "[...document.querySelectorAll('a, button, select, input, summary, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    stops = len({one for one in reached if one})
    verdict.expect(stops >= operable, f"Tab stops at all {operable} things that can be worked: {reached}")
    # The button by the space bar, the choice by an arrow.
    browser.value("document.getElementById('pause').focus()")
    browser.press(" ")
    verdict.expect(
        browser.value("document.getElementById('pause').getAttribute('aria-pressed')") == "true", "space pauses"
    )
    time.sleep(0.2)
    sums = {browser.value(PIXELS)["sum"] for _ in range(4) if time.sleep(0.2) is None}
    verdict.expect(len(sums) == 1, f"a paused picture stands still: {len(sums)} looks differ")
    browser.press(" ")
    browser.value("document.getElementById('window').focus()")
    before = browser.value("board.timeline.seconds")
    browser.press("ArrowDown")
    after = browser.value("board.timeline.seconds")
    verdict.expect(after > before, f"an arrow widens the time shown: {before} s, then {after} s")
    browser.press("ArrowUp")


def fits_and_reads(browser, verdict):
    for width, height in ((360, 740), (800, 900), SIZE, (1600, 1000)):
        browser.size(width, height)
        time.sleep(0.4)
        over = browser.value(OVERFLOW)
        verdict.expect(over <= 1, f"at {width} px nothing reaches beyond the right edge, but by {over} px")
    papers = []
    for scheme in ("light", "dark"):
        browser.prefer(color_scheme=scheme)
        time.sleep(0.4)
        contrast, text = browser.value(CONTRAST)
        verdict.expect(contrast >= 4.5, f"{scheme}: the least contrast of a text is {contrast:.2f}: {text}")
        papers.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    verdict.expect(papers[0] != papers[1], "light and dark differ")
    browser.size(*SIZE)


def stands_still_if_asked(browser, verdict):
    browser.prefer(reduced_motion="reduce")
    time.sleep(1.2)
    begin = time.monotonic()
    sums = {browser.value(PIXELS)["sum"] for _ in range(15) if time.sleep(0.1) is None}
    steps = time.monotonic() - begin + 2
    verdict.expect(
        len(sums) <= min(steps, 10), f"with reduced motion the picture steps once a second: {len(sums)} of 15 looks differ"
    )
    browser.prefer(reduced_motion="no-preference")


def take_screenshots(browser):
    """Of the whole page, each by its scheme."""
    time.sleep(20)  # the lines of the last half minute want some length
    browser.size(SIZE[0], browser.value("document.documentElement.scrollHeight"))
    pictures = {}
    for scheme in ("light", "dark"):
        browser.prefer(color_scheme=scheme)
        time.sleep(2)
        pictures[scheme] = browser.screenshot()
    browser.size(*SIZE)
    return pictures


def keep(pictures, folder, verdict):
    sizes = {}
    for scheme, picture in pictures.items():
        picture = reduced(picture)
        path = os.path.join(folder, f"live-{scheme}.png")
        with open(path, "wb") as file:
            file.write(picture)
        sizes[scheme] = len(picture)
        verdict.expect(len(picture) < LARGEST_SCREENSHOT, f"{path} has {len(picture)} bytes")
    return sizes


def is_lost_and_found(browser, server, verdict):
    server.stop()
    browser.await_truth(f"{STATE} === 'lost'", "a lost server is said")
    said = browser.value("document.getElementById('status-text').textContent")
    verdict.expect("lost" in said, f"the status says that the connection is lost: {said}")
    verdict.expect(browser.value("!document.getElementById('retry').hidden"), "one may try again by hand")
    port = server.port
    server.start(port)
    started = time.monotonic()
    browser.await_truth(f"{STATE} === 'live'", "the server that came back is found")
    verdict.expect(
        browser.value("!('stale' in document.body.dataset)"), "what is shown is no longer marked as old"
    )
    return time.monotonic() - started


def asks_for_a_key(options, texts, verdict):
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
        file.write(KEY + "\n")
        file.flush()
        with Server(
            options.ovenbird, options.model, "--api-key-file", file.name, *options.serve_option, key=KEY
        ) as server, Browser(options.chromium) as browser:
            browser.open(server.url + "/")
            browser.await_truth("!document.getElementById('door').hidden", "the page asks for a key")
            verdict.expect(browser.value("document.getElementById('board').hidden"), "without a key nothing is shown")
            verdict.expect(browser.value("document.activeElement.id") == "key", "the key's field has the focus")
            for key, claim in (("wrong", False), (KEY, True)):
                browser.type(key)
                browser.press("Enter")
                if claim:
                    browser.await_truth(f"{STATE} === 'live'", "the right key opens")
                else:
                    browser.await_truth("document.getElementById('key-error').textContent", "a wrong key is refused")
            verdict.expect(browser.value("document.getElementById('door').hidden"), "the form is gone")
            verdict.expect(KEY not in browser.value("location.href"), "the address does not hold the key")
            kept = browser.value("JSON.stringify([Object.values(sessionStorage), Object.values(localStorage), document.cookie])")
            verdict.expect(json.loads(kept) == [[KEY], [], ""], "the key is kept in the tab's own storage alone")
            browser.open(server.url + "/")
            browser.await_truth(f"{STATE} === 'live'", "a page that is loaded again needs no other key")
            browser.value("document.getElementById('forget').focus()")
            browser.press("Enter")
            browser.await_truth("!document.getElementById('door').hidden", "a forgotten key is asked for again")
            verdict.expect(browser.value("sessionStorage.length") == 0, "a forgotten key is kept nowhere")
            verdict.expect(
                not new_complaints(browser, 0, READER_KINDS), f"complaints: {new_complaints(browser, 0, READER_KINDS)}"
            )


def is_off_if_asked(options, verdict):
    with Server(options.ovenbird, options.model, "--no-dashboard", *options.serve_option) as server:
        for path in ("/", "/v1/live"):
            status = server.client().get(path).status
            verdict.expect(status == 404, f"--no-dashboard: {path} answers {status}, not 404")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_server_arguments(parser)
    parser.add_argument("--texts", metavar="FILE", help='NDJSON lines {"text"}; default: words drawn at random')
    parser.add_argument("--chromium", default="chromium", metavar="PROGRAM")
    parser.add_argument("--screenshots", metavar="DIR", help="where live-light.png and live-dark.png go")
    parser.add_argument("--interactive", type=int, default=4, help="clients with one to four texts a request")
    parser.add_argument("--bulk", type=int, default=2, help="clients with 16 to 48 texts a request")
    options = parser.parse_args()

    chance = random.Random(11)
    texts = read_texts(options.texts) if options.texts else [words(chance, 3, 90) for _ in range(2_000)]
    verdict = Verdict("live_page")
    figures = {}
    try:
        with Server(
            options.ovenbird, options.model, "--database-url", "memory:", *options.serve_option
        ) as server, Browser(options.chromium, *SIZE) as browser:
            browser.open(server.url + "/")
            client = server.client()
            client.put("/v1/collections/notes").expect(201)
            lines = b"".join(
                json.dumps({"id": str(number), "text": f"{number} {text}"}).encode() + b"\n"
                for number, text in enumerate(texts * (1 + 40_000 // len(texts)))
            )
            client.post("/v1/jobs?collection=notes", lines, "application/x-ndjson").expect(202)
            with Load(server, texts, options.interactive, options.bulk) as load:
                shows_the_load(browser, verdict)
                pictures = take_screenshots(browser) if options.screenshots else {}
                keyboard_reaches_everything(browser, verdict)
                table_equals_picture(browser, verdict)
                fits_and_reads(browser, verdict)
                stands_still_if_asked(browser, verdict)
                verdict.expect(not load.failures, f"requests failed: {load.failures[:3]}")
                figures["answered_requests"] = load.answered
            if options.screenshots:
                figures["screenshot_bytes"] = keep(pictures, options.screenshots, verdict)
            verdict.expect(not browser.complaints, f"the browser complains: {browser.complaints}")
            figures["found_again_seconds"] = round(is_lost_and_found(browser, server, verdict), 2)
            left = new_complaints(browser, 0, READER_KINDS)
            verdict.expect(not left, f"the browser complains: {left}")
        asks_for_a_key(options, texts, verdict)
        is_off_if_asked(options, verdict)
    except BrowserError as error:
        verdict.expect(False, str(error))
    return verdict.finish(**figures)


if __name__ == "__main__":
    sys.exit(main())
