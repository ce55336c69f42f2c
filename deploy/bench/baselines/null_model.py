"""A null model that takes no time, to measure the worker alone. No torch here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.settings.model import ModelSettings


class NullPredictor:
    """The interface of a replica's Predictor. Answers at once, always with the first labels."""

    max_batch_tokens = 16_384
    tokens = slots = 0
    overlaps = False

    def __init__(self, description: ModelDescription) -> None:
        self._outputs, self._ranked = description.outputs, description.ranked

    def probe(self) -> None:
        pass

    def measure(self) -> float:
        return 1e6

    def memory(self) -> dict[str, int]:
        return {}

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: object = None) -> Callable[[], ScoredSequences]:
        return partial(self.predict, packed, top_k)

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        shape = len(packed.lengths), min(top_k, self._outputs) if self._ranked else self._outputs
        label_ids = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape).copy() if self._ranked else None
        return ScoredSequences(label_ids, np.full(shape, 1 / self._outputs, np.float32), {})


class NullReplica(ModelReplica):
    """A model replica with the description of the real model and a null predictor."""

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        description, _, _ = ModelReplica._load(settings, threads)
        predictor = NullPredictor(description)
        return description, predictor, predictor.measure()
