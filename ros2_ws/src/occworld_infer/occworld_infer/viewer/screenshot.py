"""A picture of the page as a browser draws it: headless Chromium, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image
from websockets.sync.client import connect

from occworld_infer.viewer.controls import Colouring
from occworld_infer.viewer.recorded import RecordedView

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
_PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """The program, where one is on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class BrowserError(ValueError):
    """No Chromium, or one that does not do what it is told."""


class Browser:
    """One page of a headless browser. Use as a context manager. BrowserError where no Chromium is there."""

    def __init__(self, url: str, width: int = 1440, height: int = 810) -> None:
        program = find_chromium()
        if program is None:
            raise BrowserError("no Chromium on the PATH: install one (Debian, Ubuntu: apt install chromium)")
        self._profile = tempfile.TemporaryDirectory(prefix="tokyo_browser_", ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [program, f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}", *_FLAGS],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._count = 0
        try:
            self._socket = connect(self._address(), max_size=None, open_timeout=_PATIENCE_S)
            target = self._call("Target.createTarget", url=url)["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        except BaseException:
            self.close()
            raise

    def _address(self) -> str:
        """Chromium writes its port and path into its profile when it listens."""
        told = Path(self._profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            lines = told.read_text().split() if told.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.1)
        raise BrowserError("Chromium did not start")

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=_PATIENCE_S))
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise BrowserError(f"Chromium refused {method}: {answer['error']['message']}")
                return answer["result"]

    def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", self._session, format="png")["data"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        found = self._call("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        return found["result"].get("value")

    def settled(self) -> bytes:
        """The page as a PNG, when it shows voxels and two pictures in a row are the same; after a minute as it is."""
        deadline = time.monotonic() + _PATIENCE_S
        while " voxels" not in (self.evaluate("document.body ? document.body.innerText : ''") or ""):
            if time.monotonic() > deadline:
                raise BrowserError("the page has drawn nothing")
            time.sleep(0.2)
        last, same = b"", 0
        while same < 1 and time.monotonic() < deadline:
            self.evaluate("document.querySelectorAll('.mantine-Notification-closeButton').forEach(b => b.click())")
            time.sleep(1.0)
            picture = self.picture()
            last, same = picture, same + 1 if picture == last else 0
        return last

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        self._profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def take_picture(view: RecordedView, path: Path, at: float, ahead: float, colouring: Colouring) -> None:
    """Write the page as a PNG when it shows `at` seconds of the recording. ValueError where that has no such time."""
    view.read_until(at)
    view.page.controls.choose(ahead=ahead, colouring=colouring)
    view.page.controls.seek(at)
    with Browser(view.page.url) as browser, Image.open(io.BytesIO(browser.settled())) as picture:
        # 256 colours are enough for flat shading, and half the bytes; by coverage, so that a legend keeps its own.
        few = picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(path, "PNG", optimize=True)
