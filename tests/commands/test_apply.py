"""Operators change and end an application on a cluster: one Ray, one broker, and commands from outside."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest
import yaml

from tests.integration.conftest import MakeTopic
from tests.kafka import Broker
from tests.kafka.broker import free_port
from tests.support.command import LABELSTREAM, ROOT
from tests.support.models import build
from tests.support.running_command import RunningCommand
from tests.support.streams import Topics, produce, read_ids

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
WITHOUT_TOKEN = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a Ray with one node."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="ls-ray-", dir="/tmp")  # Ray's sockets need a short path
    ray = RunningCommand(
        *("start", "--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=8", "--block"),
        *("--include-dashboard=false", "--object-store-memory=100000000"),
        *("--min-worker-port=0", "--max-worker-port=0"),  # chosen by the kernel
        command=[str(Path(sys.executable).with_name("ray"))],
        environment={**WITHOUT_TOKEN, "RAY_TMPDIR": folder},
    )
    try:
        ray.until("Ray runtime started")
        yield f"127.0.0.1:{port}"
    finally:
        for process in ray.processes():
            with suppress(ProcessLookupError):
                os.kill(process, SIGKILL)
        ray.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LABELSTREAM, *arguments],
        cwd=ROOT,
        env={**os.environ, **WITHOUT_TOKEN},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )


@pytest.fixture
def write(tmp_path: Path, kafka: Broker) -> Callable[..., str]:
    """write("a.yaml", p=topics) writes a config with these pipelines and returns its path."""
    model = build(tmp_path / "model")

    def call(name: str, **pipelines: Topics) -> str:
        path = tmp_path / name
        parts = {name: {"model": "m", **_named(topics)} for name, topics in pipelines.items()}
        models = {"m": {"source": str(model), "device": "cpu"}}
        tree = {"kafka": {"bootstrap_servers": kafka.bootstrap}, "models": models, "pipelines": parts}
        path.write_text(yaml.safe_dump(tree))
        return str(path)

    return call


def _named(topics: Topics) -> dict[str, str]:
    return {"input": topics.input, "output": topics.output, "dead_letter": topics.dead_letter}


def test_apply_changes_application_and_ends_other_run(
    cluster: str, write: Callable[..., str], kafka: Broker, make_topic: MakeTopic
) -> None:
    first, second = (Topics(make_topic(), make_topic(), make_topic()) for _ in range(2))
    config = write("a.yaml", first=first)
    run = RunningCommand("run", "-c", config, "--address", cluster, environment=WITHOUT_TOKEN)
    try:
        run.until("everything runs")
        run.until("INFO model-m/")
        produce(kafka.bootstrap, first.input, [(None, b'{"id": 1, "text": "good"}')])
        run.until("pipeline-first/")  # the log line of its start offsets

        refused = command("run", "-c", config, "--address", cluster)
        assert refused.returncode == 1
        assert "labelstream apply -c" in refused.stdout

        write("a.yaml", first=first, second=second)
        applied = command("apply", "-c", config, "--address", cluster)
        assert applied.returncode == 0, applied.stdout
        assert "pipeline second: added" in applied.stdout
        assert "everything runs" in applied.stdout
        produce(kafka.bootstrap, second.input, [(None, b'{"id": 2, "text": "bad"}')])
        assert read_ids(kafka.bootstrap, second.output, 1) == [2]
        run.until("changed by `labelstream apply`")

        other = write("b.yaml", second=second)
        applied = command("apply", "-c", other, "--address", cluster)
        assert applied.returncode == 0, applied.stdout
        assert "pipeline first: removed" in applied.stdout
        assert run.wait() == 1
        assert "this run ends: its application was replaced by `labelstream apply`" in run.output
        produce(kafka.bootstrap, second.input, [(None, b'{"id": 3, "text": "bad"}')])
        assert read_ids(kafka.bootstrap, second.output, 2) == [2, 3]
    finally:
        run.process.kill()

    removed = command("remove", "--address", cluster, "--yes")
    assert (removed.returncode, removed.stdout.splitlines()[-1]) == (0, "removed")
