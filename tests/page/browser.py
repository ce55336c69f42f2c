"""Chromium through chromedriver's own HTTP API."""

import base64
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support.streams import wait_until

START_S, ANSWER_S = 60.0, 60.0
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]


class Browser:
    """One tab. `client`: of one WebDriver session."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def open(self, url: str) -> None:
        self._command("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that `script` returns."""
        return self._command("execute/sync", {"script": script, "args": arguments})

    def run_async(self, script: str, *arguments: Any) -> Any:
        """The value that `script` gives to its last argument, a function."""
        return self._command("execute/async", {"script": script, "args": arguments})

    def texts(self, selector: str) -> list[str]:
        """The visible texts of all elements that match."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as a person does."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._command("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def devtools(self, method: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._command("goog/cdp/execute", {"cmd": method, "params": params})

    def look(self, dark: bool = False, width: int = 1_280) -> None:
        """Emulate a screen."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, path: Path) -> None:
        """Write the whole page to `path`, a PNG."""
        found = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def errors(self) -> list[str]:
        """Warnings and errors of the console since the last call."""
        return [entry["message"] for entry in self._command("se/log", {"type": "browser"})]

    def _command(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._client.post(path, json=body).json()["value"]
        if isinstance(answer, dict) and "error" in answer and "message" in answer:
            raise AssertionError(f"{path}: {answer['message']}")
        return answer


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=url, timeout=ANSWER_S, trust_env=False) as client:
            wait_until(lambda: _is_ready(client), START_S, "chromedriver")
            options = {"args": [*ARGUMENTS, f"--user-data-dir={folder}"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "WARNING"}}
            answer = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            session = f"{url}/session/{answer['sessionId']}"
            try:
                with httpx2.Client(base_url=session, timeout=ANSWER_S, trust_env=False) as tab:
                    yield Browser(tab)
            finally:
                client.delete(session)
    finally:
        driver.terminate()
        driver.wait()


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/status").json()["value"]["ready"]
    except httpx2.HTTPError:
        return False
