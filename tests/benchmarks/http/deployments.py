"""The Serve deployments that are compared: replicas with and without model and lane, and textbook ones."""

import asyncio
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

from labelstream.deploy.bench.baselines.null_model import NullReplica
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.settings.model import ModelSettings

# Folders of models, which say what their replicas do.
NULL, DEMO, LANE, NO_LANE = "null", "demo", "lane", "no-lane"
BATCH = 32


class Replica(ModelReplica):
    """By the folder of its model: without computing, or with calls of the gateway in the lane of the stream."""

    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        null = Path(settings.source).name == NULL
        return (NullReplica if null else ModelReplica)._load(settings, threads)

    async def classify(
        self,
        packed: RaggedSequences,
        top_k: int,
        revision: str,
        trace: str | None = None,
        interactive: bool = False,
    ) -> ScoredSequences:
        interactive = interactive and Path(self._description.source).name != NO_LANE
        return await super().classify(packed, top_k, revision, trace, interactive)


class Body(BaseModel):
    inputs: list[str]


_app, _empty_app = FastAPI(), FastAPI()


@serve.deployment(max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0})
@serve.ingress(_app)
class Textbook:
    """`@serve.batch` around the pipeline, as in Ray Serve's guide "Dynamic Request Batching"."""

    def __init__(self, source: str) -> None:
        import torch

        from labelstream.deploy.bench.baselines.transformers_pipeline import CLASSIFICATION, make_pipeline

        torch.set_num_threads(usable_cores())  # Ray's default is one thread
        self._pipeline = make_pipeline(source, CLASSIFICATION, torch.device("cpu"), None)

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.01)
    async def together(self, texts: list[str]) -> list[Any]:
        return self._pipeline(texts, batch_size=8, truncation=True)

    @_app.post("/predict")
    async def predict(self, body: Body) -> list[Any]:
        return await asyncio.gather(*(self.together(text) for text in body.inputs))


@serve.deployment(max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0})
@serve.ingress(_empty_app)
class Empty:
    """Serve's proxy and one FastAPI replica that does nothing: the ceiling of everything behind Serve's HTTP."""

    @_empty_app.post("/predict")
    async def predict(self, body: Body) -> list[Any]:
        return [{"label": "POSITIVE", "score": 0.5}] * len(body.inputs)
