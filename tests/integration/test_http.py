"""`labelstream run` with HTTP and without Kafka, on a real Ray: bounds, token, a dead replica, and an orderly end."""

import json
import os
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelstream import Client
from tests.kafka.broker import free_port
from tests.support.command import LABELSTREAM, ROOT
from tests.support.listeners import listeners_of
from tests.support.models import build
from tests.support.running_command import RunningCommand
from tests.support.streams import wait_until

pytestmark = [pytest.mark.timeout(300), pytest.mark.ray]
TOKEN = "a-secret-token"
ENVIRONMENT = {"LABELSTREAM_HTTP__TOKEN": TOKEN}
LABELS = {"NEGATIVE", "POSITIVE"}


class Gateway:
    """A running `labelstream run` with one small model."""

    def __init__(self, config: Path, port: int) -> None:
        self.config, self.port = config, port
        self.run = RunningCommand("run", "-c", str(config), environment=ENVIRONMENT)
        self.run.until("everything runs")

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, token: str = TOKEN
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON body and headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", "authorization": f"Bearer {token}", **(headers or {})}
        return self._open(urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, given))

    def get(self, path: str, token: str | None = None) -> int:
        return self.request("GET", path, token)[0]

    def request(self, method: str, path: str, token: str | None = None) -> tuple[int, Any, Mapping[str, str]]:
        """Without a body. Status, JSON body and headers."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        return self._open(urllib.request.Request(url, headers=headers, method=method))

    def _open(self, request: urllib.request.Request) -> tuple[int, Any, Mapping[str, str]]:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, _json(response.read()), {}
        except urllib.error.HTTPError as error:
            return error.code, _json(error.read()), {name.lower(): value for name, value in error.headers.items()}

    def model_replicas(self) -> list[int]:
        """Process ids."""
        return [process for process, line in self.run.processes().items() if ":model-m" in line]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder, port = tmp_path_factory.mktemp("http"), free_port()
    tree = {
        "models": {"m": {"source": str(build(folder / "model"))}},
        "http": {"port": port, "timeout_s": 5, "max_request_bytes": 10_000, "max_texts": 20, "max_ongoing_requests": 8},
    }
    config = folder / "labelstream.yaml"
    config.write_text(yaml.safe_dump(tree))
    made = Gateway(config, port)
    wait_until(lambda: made.get("/health") == 200, 60, "the model")
    yield made
    made.run.process.send_signal(signal.SIGINT)
    made.run.wait(60)


def test_models_without_kafka_answer(gateway: Gateway) -> None:
    status, answer, _ = gateway.post("/score", {"input_data": ["good", "bad"]})
    assert status == 200
    assert len(answer) == 2
    assert gateway.post("/models/m/score", {"input_data": ["good", "bad"]})[1] == answer


def test_token_is_needed_for_all_but_health(gateway: Gateway) -> None:
    assert gateway.get("/ping") == 200
    assert gateway.get("/") == 200
    assert gateway.get("/-/healthz") == 200
    for path in ("/docs", "/openapi.json", "/metrics"):
        assert gateway.get(path) == 401
        assert gateway.get(path, TOKEN) == 200
    assert gateway.get("/-/routes", TOKEN) == 404
    assert gateway.post("/score", {"input_data": ["good"]}, token="other")[0] == 401


def test_no_route_answers_without_the_token(gateway: Gateway) -> None:
    described = gateway.request("GET", "/openapi.json", TOKEN)[1]
    operations = [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]
    operations += [("GET", path) for path in ("/docs", "/openapi.json", "/page/events", "/nothing", "/-/routes")]
    free = {"/", "/health", "/ping", "/v2/health/live", "/v2/health/ready"}
    for method, path in operations:
        status, body, _ = gateway.request(method, path.format(model="m", task="text-classification"))
        if method == "GET" and path in free:
            assert (status, any(label in str(body) for label in LABELS)) == (200, False), path
        else:
            assert status == (404 if path.startswith("/-/") else 401), path


def test_all_processes_listen_on_loopback_alone(gateway: Gateway) -> None:
    found = listeners_of(gateway.run.processes())
    assert gateway.port in {listener.port for listener in found}
    assert {listener.host for listener in found} <= {"127.0.0.1", "::1"}


def test_large_request_is_413(gateway: Gateway) -> None:
    assert gateway.post("/score", {"input_data": ["x" * 10_000]})[0] == 413
    assert gateway.post("/score", {"input_data": ["x"] * 21})[0] == 413


def test_slow_sender_is_408(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 30) as sender:
        lines = (
            "POST /score HTTP/1.1",
            "host: 127.0.0.1",
            f"authorization: Bearer {TOKEN}",
            "content-type: application/json",
            "content-length: 100",
        )
        sender.sendall("\r\n".join((*lines, "", "{")).encode())
        assert b" 408 " in sender.recv(4_096).split(b"\r\n")[0]


def test_requests_beyond_the_bound_are_429(gateway: Gateway) -> None:
    """Eight senders hold all places, because their bodies are not complete."""
    head = f"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\n\r\n{{"
    senders = []
    try:
        found = []

        def is_full() -> bool:
            # A sender that comes while a whole request is in place is refused too, so each turn adds senders.
            for _ in range(4):
                senders.append(socket.create_connection(("127.0.0.1", gateway.port), 30))
                senders[-1].sendall(head.encode())
            found.append(gateway.post("/score", {"input_data": ["good"]}))
            return found[-1][0] == 429

        wait_until(is_full, 10, "a refused request")
        assert found[-1][2]["retry-after"] == "1"
    finally:
        for sender in senders:
            sender.close()


def test_upgrade_of_the_gateway_loses_no_request(gateway: Gateway) -> None:
    """The replica with the old settings ends while clients send requests."""
    tree = yaml.safe_load(gateway.config.read_text())
    tree["http"]["max_texts"] -= 1
    gateway.config.write_text(yaml.safe_dump(tree))
    command, environment = [*LABELSTREAM, "apply", "-c", str(gateway.config)], {**os.environ, **ENVIRONMENT}
    with (
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as apply,
        Client(f"http://127.0.0.1:{gateway.port}", token=TOKEN, timeout_s=120) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def ask(number: int) -> int:
            answered = 0
            while apply.poll() is None:
                answer = client.predict("m", f"good {number} {answered}")
                assert {one["label"] for one in answer} == LABELS
                answered += 1
            return answered

        assert all(pool.map(ask, range(4)))
        assert apply.stdout is not None
        assert apply.returncode == 0, apply.stdout.read()
    assert gateway.post("/score", {"input_data": ["x"] * 20})[0] == 413


def test_dead_replica_loses_no_request(gateway: Gateway) -> None:
    answered: Counter[int] = Counter()
    killed = threading.Event()

    def ask(number: int) -> None:
        if number == 100:
            for replica in gateway.model_replicas():
                os.kill(replica, signal.SIGKILL)
                killed.set()
        text = f"good {number}"
        while True:
            status, answer, _ = gateway.post("/score", {"input_data": [text]})
            if status not in (429, 503, 504):
                break
        assert status == 200, answer
        assert len(answer) == 1
        answered[number] += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(300)))

    assert killed.is_set()
    assert answered == Counter(range(300))


def test_end_of_the_run_ends_the_listener(gateway: Gateway) -> None:
    gateway.run.process.send_signal(signal.SIGINT)
    gateway.run.wait(60)
    assert "stopped" in gateway.run.output
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", gateway.port), 5)
