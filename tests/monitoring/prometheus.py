"""Debian's Prometheus on loopback with Labelstream's rules, for a test."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "helm/labelstream/files/alerts.yaml"
CONFIG = ROOT / "deploy/monitoring/prometheus.yaml"


def tool(name: str) -> str:
    """The path of `prometheus` or `promtool`. Fails if missing: a skipped test would look passed."""
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed: apt-get install prometheus"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """Scrapes `target` (host:port) every second as `CONFIG` does and evaluates the rules, until the context ends."""

    def __init__(self, target: str, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        config = yaml.safe_load(CONFIG.read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES)]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def __enter__(self) -> Self:
        self._log = (self._folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: a list of {"metric", "value"}. Raises on an error in the expression."""
        return self._get("query", query=expression)["result"]

    def rules(self) -> list[dict[str, Any]]:
        """All rules with their health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_for(self, expression: str, timeout_s: float) -> list[dict[str, Any]]:
        """The first result that is not empty; an empty one after the timeout."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                if found := self.query(expression):
                    return found
            except OSError:
                assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()[-2000:]
            time.sleep(0.5)
        return []

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
