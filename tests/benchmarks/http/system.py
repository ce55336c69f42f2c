"""Everything that is measured, running at once on one local Ray and in one process beside it."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from ray import serve

from labelstream.deploy.bench.harness.application import cpu_s, running
from labelstream.deploy.bench.harness.topics import group_of, topics_of
from labelstream.deploy.cluster.runtime import ray_for
from labelstream.deploy.names import Topics
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.application import Settings
from tests.benchmarks.http.deployments import DEMO, LANE, NO_LANE, NULL, Empty, Replica, Textbook
from tests.benchmarks.throughput.material import BASE, make_model
from tests.kafka.broker import free_port

ROOT = Path(__file__).parents[3]
DEMO_MODEL = ROOT / "deploy/demo/model"
START_S = 120.0


class Way(NamedTuple):
    """A server. `field`: of the texts in a request. `parts`: part of a process's name -> what the part is called."""

    name: str
    url: str
    field: str
    parts: Mapping[str, str]


class System(NamedTuple):
    """`ways`: the servers, by what they compute. `lanes`: model -> (URL, topics of its stream)."""

    ways: list[Way]
    lanes: dict[str, tuple[str, Topics]]
    settings: Settings


@contextmanager
def running_system(folder: Path, bootstrap: str) -> Iterator[System]:
    (folder / DEMO).symlink_to(DEMO_MODEL)
    (folder / NULL).symlink_to(DEMO_MODEL)
    make_model(folder / LANE, BASE)
    (folder / NO_LANE).symlink_to(folder / LANE)
    topics = {model: topics_of(model) for model in (LANE, NO_LANE)}
    port, plain_port = free_port(), free_port()
    settings = load_settings(_tree(folder, bootstrap, port, topics))
    base, plain = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{plain_port}"
    with _plain_server(plain), ray_for(settings), running(settings, Replica):
        serve.run(Textbook.bind(str(DEMO_MODEL)), name="textbook", route_prefix="/textbook")  # type: ignore[attr-defined]
        serve.run(Empty.bind(), name="empty", route_prefix="/empty")  # type: ignore[attr-defined]
        yield System(_ways(base, plain), {m: (_score(base, m), topics[m]) for m in topics}, settings)


def _ways(base: str, plain: str) -> list[Way]:
    proxy = {"ProxyActor": "proxy"}
    ours = proxy | {":gateway": "gateway"}
    return [
        Way("null model", _score(base, NULL), "input_data", ours | {f":model-{NULL}": "model"}),
        Way("Serve alone", f"{base}/empty/predict", "inputs", proxy | {":Empty": "model"}),
        Way("demo's model", _score(base, DEMO), "input_data", ours | {f":model-{DEMO}": "model"}),
        Way("FastAPI", f"{plain}/predict", "inputs", {"plain_server": "model"}),
        Way("@serve.batch", f"{base}/textbook/predict", "inputs", proxy | {":Textbook": "model"}),
    ]


def _score(base: str, model: str) -> str:
    return f"{base}/models/{model}/score"


def _tree(folder: Path, bootstrap: str, port: int, topics: Mapping[str, Topics]) -> dict[str, Any]:
    models = (NULL, DEMO, LANE, NO_LANE)
    return {
        "kafka": {"bootstrap_servers": bootstrap},
        "models": {name: {"source": str(folder / name)} for name in models},
        "pipelines": {
            name: {**found._asdict(), "model": name, "group_id": group_of(found)} for name, found in topics.items()
        },
        "http": {"port": port},
    }


@contextmanager
def _plain_server(url: str) -> Iterator[None]:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.benchmarks.http.plain_server", str(DEMO_MODEL), port]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        until = time.monotonic() + START_S
        while not _answers(f"{url}/health"):
            if server.poll() is not None or time.monotonic() > until:
                raise TimeoutError("the plain server does not start")
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def cpu_seconds(parts: Mapping[str, str]) -> dict[str, float]:
    """CPU seconds of each part, of all its processes below this one."""
    found = dict.fromkeys(parts.values(), 0.0)
    for process in psutil.Process().children(recursive=True):
        try:
            name = " ".join(process.cmdline())
            for part, called in parts.items():
                if part in name:
                    found[called] += cpu_s(process.pid)
        except (psutil.NoSuchProcess, OSError):
            continue
    return found
