"""System under test: a broker, and the application on a local Ray with two models that some texts break."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ray import cloudpickle
from tokenizers import Tokenizer

from labelstream.deploy.app import application
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import rollout
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.model import ModelSettings
from tests.chaos import inject
from tests.chaos.system import is_alive
from tests.hostile.kinds import KILLS, RAISES
from tests.kafka import KafkaBroker
from tests.support import models

PARTITIONS, WORKERS, REPLICAS = 4, 2, 2
INPUT, OUTPUT, DEAD_LETTER, GROUP = "in", "out", "dead", "labelstream-p"
LENGTH = 512
# Nested repetition: the regular expression gives up after many steps and the tokenizer panics (not an Exception). The
# letter is one that the check of the model's files does not repeat; otherwise the check would refuse this model.
PANICKING = {"type": "Split", "pattern": {"Regex": r"(q+)+\d"}, "behavior": "Isolated", "invert": False}


def settings_for(bootstrap: str, folder: Path) -> Settings:
    model = {"dtype": "float32", "threads": 1, "num_cpus": 0.1, "replicas": REPLICAS, "call_timeout_s": 30}
    return load_settings(
        {
            "kafka": {"bootstrap_servers": bootstrap, "session_timeout_ms": 10_000},
            "models": {
                "m": {**model, "source": str(folder / "m")},
                "f": {**model, "source": str(folder / "f"), "task": "fill-mask", "top_k": 2, "replicas": 1},
            },
            "pipelines": {
                "p": {
                    "input": INPUT,
                    "output": OUTPUT,
                    "dead_letter": DEAD_LETTER,
                    "model": "m",
                    "models": ["f"],
                    "workers": WORKERS,
                    "delivery": "exactly_once",
                    "transaction_interval_ms": 500,
                    "on_tombstone": "dead_letter",
                    "drain_timeout_s": 10,
                }
            },
        }
    )


def build(folder: Path) -> None:
    """Build the models `m` and `f`."""
    sizes: dict[str, Any] = {"max_position_embeddings": LENGTH}
    made = models.build(folder / "m", model_max_length=LENGTH, **sizes)
    models.build(folder / "f", "bert", model_max_length=LENGTH, architecture="ForMaskedLM", **sizes)
    # With a class of its own, transformers would rebuild the tokenizer from its vocabulary.
    _edit(made / "tokenizer_config.json", lambda config: {**config, "tokenizer_class": "PreTrainedTokenizerFast"})
    _edit(
        made / "tokenizer.json",
        lambda parts: {
            **parts,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [parts["pre_tokenizer"], PANICKING]},
        },
    )


def _edit(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


class System:
    """Owns what `running` starts. `folder`: process ids and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        build(folder)
        self.broker = KafkaBroker(data=folder / "kafka")
        self.settings = settings_for(self.broker.bootstrap, folder)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.broker)
            self.broker.create_topic(INPUT, PARTITIONS)
            self.broker.create_topic(OUTPUT, PARTITIONS, {"cleanup.policy": "compact"})
            self.broker.create_topic(DEAD_LETTER, 1)
            stack.enter_context(runtime.ray_for(self.settings))
            rollout.deploy(self.settings, 300, application(self.settings, inject.ChaosWorker, HostileReplica))
            yield

    def started(self, kind: str) -> list[int]:
        """Process ids of all processes of `kind` that ever ran: "worker" or "replica"."""
        return sorted(int(path.name.partition("-")[2]) for path in self.folder.glob(f"{kind}-*"))

    def workers(self) -> dict[str, int]:
        """The running workers, in the form that `Memory` takes."""
        return {f"worker {pid}": pid for pid in self.started("worker") if is_alive(pid)}


class HostileReplica(inject.ChaosReplica):
    """Raises, or kills its process, for texts that begin as `kinds` says."""

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        description, predictor, measured = inject.ChaosReplica._load(settings, threads)
        tokenizer = Tokenizer.from_str(description.tokenizer_json)
        raises, kills = (np.array(tokenizer.encode(text).ids[:-1], np.int32) for text in (RAISES, KILLS))
        logits = predictor.runner.logits

        def poisoned(of: Any, rows: Any) -> Any:
            for row in rows.tolist():
                ids = of.packed.ids[of.starts[row] : of.starts[row] + of.packed.lengths[row]]
                if np.array_equal(ids[: len(kills)], kills):
                    os.kill(os.getpid(), signal.SIGKILL)
                if np.array_equal(ids[: len(raises)], raises):
                    raise ValueError("a text that the model raises at")
            return logits(of, rows)

        predictor.runner.logits = poisoned
        return description, predictor, measured


for _module in (inject, __import__(__name__, fromlist=["_"])):
    cloudpickle.register_pickle_by_value(_module)  # replicas cannot import the tests
