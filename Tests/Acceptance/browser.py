"""Headless Chromium, driven over its DevTools protocol through a pair of pipes: nothing but Python's own library."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class BrowserError(Exception):
    pass


class Browser:
    """One Chromium with one page. As root it runs without its sandbox, for it would not run otherwise: let it open
    nothing but a server of one's own."""

    def __init__(self, program="chromium", width=1280, height=900):
        self.folder = tempfile.mkdtemp(prefix="ovenbird-browser-")
        reading, self.commands = os.pipe()
        self.messages, writing = os.pipe()
        # Out of the way of the two numbers that Chromium wants.
        to_browser, from_browser = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (reading, writing))
        os.close(reading)
        os.close(writing)
        self.log = open(os.path.join(self.folder, "log"), "wb")
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            f"--user-data-dir={self.folder}/profile",
            f"--window-size={width},{height}",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        # Chromium reads commands from descriptor 3 and writes to 4.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *options, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(to_browser, from_browser),
        )
        os.close(to_browser)
        os.close(from_browser)
        self.unread = b""
        self.last_id = 0
        self.session = None
        # What went wrong in the page: (kind, text).
        self.complaints = []
        self.replies = {}
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.messages)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, limit=60, **parameters):
        """The result of one command; what happens in the page meanwhile is taken down."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + limit
        while self.last_id not in self.replies:
            self.receive(deadline - time.monotonic(), method)
        reply = self.replies.pop(self.last_id)
        if "error" in reply:
            raise BrowserError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def receive(self, limit, method):
        if limit <= 0 or not select.select([self.messages], [], [], limit)[0]:
            raise BrowserError(f"{method}: no answer from the browser")
        chunk = os.read(self.messages, 1 << 16)
        if not chunk:
            raise BrowserError(f"the browser ended: {open(self.log.name, errors='replace').read()[-2000:]}")
        *whole, self.unread = (self.unread + chunk).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.replies[message["id"]] = message
            else:
                self.note(message["method"], message["params"])

    def note(self, event, details):
        if event == "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            self.complaints.append(("exception", thrown.get("exception", {}).get("description", thrown["text"])))
        elif event == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning", "assert"):
            self.complaints.append(("console", " ".join(str(one.get("value")) for one in details["args"])))
        elif event == "Log.entryAdded" and details["entry"]["level"] == "error":
            entry = details["entry"]
            self.complaints.append((entry["source"], entry["text"]))

    # What one does with a page.

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.await_truth("document.readyState === 'complete'", "the page is loaded")

    def value(self, expression):
        """What a JavaScript expression is worth; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def await_truth(self, expression, claim, limit=20):
        deadline = time.monotonic() + limit
        while not (value := self.value(expression)):
            if time.monotonic() > deadline:
                raise BrowserError(f"within {limit} s it did not come true that {claim} ({expression})")
            time.sleep(0.05)
        return value

    def press(self, key, shift=False):
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40, "ArrowUp": 38, "Escape": 27}
        text = {"Enter": "\r", " ": " "}.get(key)
        event = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": codes[key],
            "modifiers": 8 if shift else 0,
        }
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def size(self, width, height, scale=1):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def prefer(self, **features):
        """`prefer(color_scheme="dark")` and the like: what CSS asks with `prefers-…`."""
        self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-" + name.replace("_", "-"), "value": value} for name, value in features.items()
            ],
        )

    def screenshot(self):
        """PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
