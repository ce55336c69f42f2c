"""The worker's process tokenizes and names labels without torch; it starts in a tenth of the time and memory."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.support.models import make_tokenizer

SCRIPT = """
import sys
from labelstream.workers.classifier import Request
from labelstream.workers.engine import description, tasks
from labelstream.workers.engine.inference import forward_layout, forward_plan
from labelstream.workers.engine import ragged
from labelstream.workers.engine.tasks import postprocess
model = description.ModelDescription(
    "m", "r", "text-classification", ("a", "b"), description.Activation.SOFTMAX, 32, 2, open(sys.argv[1]).read()
)
prepared = tasks.task_for(model).prepare([Request("good"), Request("g\\u00f6", "pair")])
assert len(prepared.packed.lengths) == 2
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "transformers", "ray", "kafka", "huggingface_hub", "openvino", "nncf"}))
"""

# A whole worker without Serve: the replica's class, a handle that answers by itself, and an in-memory broker.
WORKER = """
import asyncio, json, sys, time
from types import SimpleNamespace as Some
from confluent_kafka import Consumer, Producer
from ray import serve
from labelstream.deploy.control import control_plane
from labelstream.deploy.cli.topics.in_memory_broker import InMemoryBroker
from tests.support.fake_handle import FakeHandle, description

context = Some(app_name="app", deployment="pipeline-p", replica_id=Some(unique_id="r"))
serve.get_replica_context = lambda: context
tried = []
control_plane._method = lambda *names: tried.append(names)
handle = FakeHandle()
handle.deployment_id = Some(app_name="app")
broker = InMemoryBroker()
producer = Producer({"bootstrap.servers": broker.bootstrap})
for topic in ("out", "dlq"):
    producer.list_topics(topic, 10)
for text in ("a b", "a"):
    producer.produce("in", json.dumps({"text": text, "text_pair": "c"}))
assert producer.flush(10) == 0
config = {
    "kafka": {"bootstrap_servers": broker.bootstrap}, "models": {"m": {"source": "fake"}},
    "pipelines": {"p": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "m"}},
}

async def run():
    from labelstream.deploy.deployments.stream_worker import StreamWorker
    worker = StreamWorker.__new__(StreamWorker)
    await worker.__init__("p", config, {"m": handle})
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["out"])
    found = []
    deadline = time.monotonic() + 60
    while (len(found) < 2 or not tried) and time.monotonic() < deadline:
        found += [json.loads(m.value())["label"] for m in consumer.consume(2, 0.2) if not m.error()]
        await worker.check_health()
    consumer.close()
    assert sorted(found) == ["no", "yes"], found
    assert await worker.drain()

asyncio.run(run())
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"torch", "transformers", "ray", "kafka"}))
"""


def test_worker_modules_import_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(make_tokenizer("bert").backend_tokenizer.to_str())
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_a_whole_worker_process_never_imports_torch() -> None:
    """From its start through Kafka, tokenizer, handle, answers and reports to its end."""
    command = [sys.executable, "-c", WORKER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.returncode) == ("['kafka', 'ray']\n", 0), done.stderr


def test_package_imports_lazily() -> None:
    import labelstream.workers.engine

    tree = ast.parse(Path(str(labelstream.workers.engine.__file__)).read_text(encoding="utf-8"))
    assert [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []
