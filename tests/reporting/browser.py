"""Headless Chromium, controlled through the DevTools protocol over a pipe."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_TIMEOUT = 60
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for number, end in enumerate(ends, 3):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Program that executes Chromium, which reads commands from descriptor 3 and writes answers to 4."""


@dataclass
class Opened:
    """Record of an opened page."""

    messages: list[str] = field(default_factory=list)
    """Errors and warnings of the console."""
    requests: list[str] = field(default_factory=list)
    """All requested addresses except the page itself."""
    load_seconds: float = 0.0
    """Processor time of the page's thread until the page was loaded."""
    width: int = 0
    """Width of the content in pixels."""
    screenshot: bytes = b""


class Browser:
    """A Chromium process; a context manager."""

    def __init__(self, profile: Path) -> None:
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--hide-scrollbars",
        ]
        options += ["--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(read_commands), str(write_answers), str(CHROMIUM), *options],
            pass_fds=(read_commands, write_answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_commands)
        os.close(write_answers)
        self._last_id, self._buffer = 0, b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def open(self, page: Path, width: int = 1280, dark: bool = False, top: int = 0, height: int = 0) -> Opened:
        """Open a page and take a screenshot from `top` to the end, or of `height` pixels."""
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable", session=session)
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", screen, session)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", {"features": [scheme]}, session)
        self.ask("Performance.enable", {"timeDomain": "threadTicks"}, session)
        self.ask("Page.navigate", {"url": page.as_uri()}, session)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()
        metrics = {
            entry["name"]: entry["value"] for entry in self.ask("Performance.getMetrics", session=session)["metrics"]
        }
        opened = Opened(load_seconds=metrics["TaskDuration"])
        opened.width = self._value("document.documentElement.scrollWidth", session)
        tall = height or self._value("document.documentElement.scrollHeight", session)
        clip = {"x": 0, "y": top, "width": width, "height": min(tall, 16_000), "scale": 1}
        options = {"clip": clip, "captureBeyondViewport": True}
        opened.screenshot = base64.b64decode(self.ask("Page.captureScreenshot", options, session)["data"])
        self._note(opened, page)
        self.ask("Target.closeTarget", {"targetId": target})
        return opened

    def ask(self, method: str, parameters: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters or {}}
        message |= {"sessionId": session} if session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def _value(self, expression: str, session: str) -> Any:
        return self.ask("Runtime.evaluate", {"expression": expression}, session)["result"]["value"]

    def _read(self) -> dict[str, Any]:
        """Return the next message; events are also recorded."""
        until = time.monotonic() + _TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            self._buffer += os.read(self._answers, 1 << 20)
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def _note(self, opened: Opened, page: Path) -> None:
        for event in self.events:
            params = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    opened.messages.append(str(params["exceptionDetails"]))
                case "Runtime.consoleAPICalled":
                    opened.messages.append(str(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    opened.messages.append(params["entry"]["text"])
                case "Network.requestWillBeSent" if params["request"]["url"] != page.as_uri():
                    opened.requests.append(params["request"]["url"])
