"""The textbook deployment, and its client with many open calls."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from labelstream.deploy.bench.baselines import serve_batch, transformers_pipeline
from labelstream.deploy.bench.baselines.serve_batch import CALLS_PER_BATCH, ServeBatch, ServeBatchReplica


class Handle:
    """Answers a call after other calls had their turn, and counts the open calls."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.open = self.most = 0
        self.sizes: list[int] = []
        self.set_batch_size = SimpleNamespace(remote=self._resize)

    def _resize(self, size: int) -> Any:
        self.sizes.append(size)
        return SimpleNamespace(result=lambda timeout_s: None)

    async def remote(self, text: str) -> str:
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        self.texts.append(text)
        return text


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Handle:
    made = Handle()
    monkeypatch.setattr(serve_batch.serve, "get_deployment_handle", lambda name, app: made)
    return made


def test_every_text_is_one_of_the_open_calls(handle: Handle) -> None:
    client = ServeBatch()
    client.set_batch_size(3)
    texts = [f"text {number}" for number in range(100)]
    client.answer(texts)
    assert handle.sizes == [3]
    assert sorted(handle.texts) == sorted(texts)
    assert handle.most == 3 * CALLS_PER_BATCH
    assert len(client.latencies_ms) == 100
    client.answer(texts[:5], open_calls=1)
    assert len(client.latencies_ms) == 5, "of the last ones alone"


def test_replica_gives_pipeline_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def pipeline(texts: list[str], **options: Any) -> list[str]:
        asked.append((texts, options))
        return [text.upper() for text in texts]

    monkeypatch.setattr(transformers_pipeline, "make_pipeline", lambda *arguments: pipeline)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: None)
    config = SimpleNamespace(max_ongoing_requests=10_000)
    context = SimpleNamespace(_deployment_config=config, deployment="d", replica_tag="r", app_name="a")
    monkeypatch.setattr(serve_batch.serve, "get_replica_context", lambda: context)

    async def call() -> list[str]:
        replica = ServeBatchReplica("model", "float32", "cpu", 1)
        await replica.set_batch_size(2)
        return list(await asyncio.gather(replica("a"), replica("b")))

    assert asyncio.run(call()) == ["A", "B"]
    assert asked == [(["a", "b"], {"batch_size": 2, "top_k": None, "truncation": True})]


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("cpu", 0)])
def test_deployment_reserves_gpu_on_cuda(device: str, gpus: int) -> None:
    deployment: Any = serve_batch.textbook_application("model", "float32", device, 2)._bound_deployment
    assert deployment.name == serve_batch.DEPLOYMENT
    assert deployment.ray_actor_options["num_gpus"] == gpus
    assert deployment.init_args == ("model", "float32", device, 2)
