"""Chromium without a window, told what to do over its debugging pipe (no port, no package)."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60.0
"""Longer than anything may take."""
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
)


def executable() -> str | None:
    """The browser of this machine; None without one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Chromium:
    """One browser with one page."""

    def __init__(self, writer: int, reader: int) -> None:
        self._writer, self._reader = writer, reader
        self._number = 0
        self._unread = b""
        self._session: str | None = None
        self._events: deque[dict[str, Any]] = deque()

    def attach(self) -> None:
        """Open the page that everything else is about."""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") != self._number:
                self._events.append(answer)
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            result: dict[str, Any] = answer["result"]
            return result

    def wait_for(self, event: str) -> dict[str, Any]:
        """The next event of that name; the others stay to be seen."""
        while True:
            message = self._read()
            self._events.append(message)
            if message.get("method") == event:
                return message

    def events(self, name: str) -> list[dict[str, Any]]:
        """What has been told under that name since the page was opened."""
        return [each["params"] for each in self._events if each.get("method") == name]

    def open(
        self, page: Path, width: int = 1200, *, scheme: str = "light", scripts: bool = True
    ) -> None:
        """Show a file in a window of that width, in a colour scheme, with or without scripts."""
        self._events.clear()
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", features=features)
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        self("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, also where the page itself may run no script."""
        answer = self(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page, as tall as it is, as PNG."""
        size = self("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """The page as it would be printed on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
        return base64.b64decode(self("Page.printToPDF", **paper)["data"])

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._reader], [], [], left)[0]:
                raise TimeoutError(f"the browser said nothing for {SECONDS} s")
            piece = os.read(self._reader, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self._unread += piece
        message, self._unread = self._unread.split(b"\0", 1)
        told: dict[str, Any] = json.loads(message)
        return told


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """A browser with an empty profile in that folder, which ends with the block."""
    found = executable()
    assert found is not None
    command = [found, *FLAGS, f"--user-data-dir={profile}"]
    (commands, writer), (reader, answers) = os.pipe(), os.pipe()
    with (profile / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            # the browser reads commands from descriptor 3 and answers on 4
            ["bash", "-c", f'exec "$0" "$@" 3<&{commands} 4>&{answers}', *command],
            pass_fds=(commands, answers),
            stdout=log,
            stderr=log,
        )
    os.close(commands)
    os.close(answers)
    try:
        browser = Chromium(writer, reader)
        browser.attach()
        yield browser
        browser._session = None
        browser("Browser.close")
    finally:
        os.close(writer)
        os.close(reader)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
