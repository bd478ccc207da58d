"""A real browser, driven through the W3C WebDriver protocol; nothing to install but Chromium."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 60
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing():
    """Say what is not installed, or nothing."""
    lacking = [] if shutil.which("chromedriver") else ["chromedriver"]
    if not any(shutil.which(name) for name in NAMES):
        lacking.append("chromium")
    return f"{' and '.join(lacking)} not installed" if lacking else ""


class Browser:
    """One window of headless Chromium."""

    def __init__(self, folder, width=1200, height=900):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._driver = subprocess.Popen(
            [shutil.which("chromedriver"), f"--port={port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._root = f"http://127.0.0.1:{port}"
        binary = next(filter(None, map(shutil.which, NAMES)))
        options = {
            "binary": binary,
            "args": [*ARGUMENTS, f"--user-data-dir={folder}", f"--window-size={width},{height}"],
        }
        wanted = {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }  # fmt: skip
        for _ in range(PATIENCE_S * 10):
            try:
                self._ask("GET", "/status")
                break
            except OSError:
                time.sleep(0.1)
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def close(self):
        try:
            self._ask("DELETE", self._session)
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def _ask(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._root + path, data, headers, method=method)
        # A proxy of the machine's does not know its own address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as answer:
                return json.loads(answer.read())["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.loads(error.read())["value"]["message"]) from error

    def do(self, command, **body):
        return self._ask("POST", self._session + command, body)

    def run(self, script, *arguments):
        """Run JavaScript and return what it returns."""
        return self.do("/execute/sync", script=script, args=list(arguments))

    def cdp(self, command, **parameters):
        return self.do("/goog/cdp/execute", cmd=command, params=parameters)

    def open(self, path):
        """Open a page and wait until it says that it is ready."""
        self.do("/url", url=Path(path).as_uri())
        return self.wait("return Number(document.documentElement.dataset.ready) || null")

    def wait(self, script):
        """Wait until a script returns something."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = self.run(script)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"nothing came of: {script}; {self.errors()}")

    def errors(self):
        """Return what the console said since it was asked last."""
        return [entry["message"] for entry in self.do("/se/log", type="browser")]

    def click(self, x, y):
        """Press the mouse at a place of the window."""
        steps = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        self.do("/actions", actions=[mouse])

    def keys(self, text):
        """Press keys."""
        steps = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        self.do("/actions", actions=[{"type": "key", "id": "keys", "actions": steps}])

    def press(self, selector):
        """Click an element."""
        # WebDriver does not wait until a page has scrolled smoothly.
        self.run(
            "document.querySelector(arguments[0]).scrollIntoView("
            "{block: 'center', behavior: 'instant'})",
            selector,
        )
        found = self.do("/element", using="css selector", value=selector)
        self.do(f"/element/{found[ELEMENT]}/click")

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def screenshot(self, path=None):
        data = base64.b64decode(self._ask("GET", self._session + "/screenshot"))
        if path:
            Path(path).write_bytes(data)
        return data

    def whole_page(self, path):
        """Take a picture of all of a page."""
        found = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(found["data"]))

    def pdf(self, path):
        found = self.do("/print", page={"width": 21, "height": 29.7}, background=True)
        Path(path).write_bytes(base64.b64decode(found))

    def look(self, *, width=None, height=None, dark=False, calm=False):
        """Change the window: its size, the system's colours, reduced motion."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.cdp("Emulation.setEmulatedMedia", features=features)
        if width:
            self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
