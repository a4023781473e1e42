"""A headless Chromium, driven by the DevTools protocol over a pipe: no driver, no network."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import pytest


class Browser:
    """One page of a real browser; use it in a `with` statement."""

    def __init__(self, folder, width=1000, height=800):
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("needs chromium or google-chrome")
        reads, self._asks = os.pipe()
        self._answers, writes = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        command = [program, *options, f"--user-data-dir={folder}/profile"]
        command.append(f"--window-size={width},{height}")

        # the browser reads from 3 and writes to 4
        connect = (
            "import fcntl, os, sys; free = lambda n: fcntl.fcntl(int(n), fcntl.F_DUPFD, 10); "
            "r, w = map(free, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); "
            "os.execv(sys.argv[3], sys.argv[3:])"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", connect, str(reads), str(writes), *command],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self._numbers, self._text, self._session = itertools.count(1), b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait(20)
        os.close(self._asks)
        os.close(self._answers)

    def call(self, method, **arguments):
        """Calls a method of the protocol and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._asks, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._text:
                read = os.read(self._answers, 2**20)
                if not read:
                    raise OSError("The browser is gone.")
                self._text += read
            text, self._text = self._text.split(b"\0", 1)
            answer = json.loads(text)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def open(self, url):
        """Goes to a page."""
        self.call("Page.navigate", url=url)

    def value(self, expression):
        """Returns what a JavaScript expression gives."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            return None  # the page is not there yet
        return result["result"].get("value")

    def wait_for(self, expression, seconds=30):
        """Waits until an expression is true, and returns its value."""
        until = time.monotonic() + seconds
        while not (value := self.value(expression)) and time.monotonic() < until:
            time.sleep(0.05)
        assert value, f"{expression}: {self.value('document.body.innerText')}"
        return value

    def type(self, selector, text):
        """Types into a field, as a person does, and presses Enter."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                windowsVirtualKeyCode=13, text="\r" if kind == "keyDown" else "",
            )  # fmt: skip

    def screenshot(self, path):
        """Writes a PNG of the page."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))
