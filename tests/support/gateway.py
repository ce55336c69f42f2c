"""What a dialect is tested against: small models of each task in this process, and a server on a free port."""

import asyncio
import json
import socket
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from labelstream.deploy.gateway.served import Model, RequestRefused, UnknownModel, WrongTask
from labelstream.workers.classifier import Answer, Request
from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.engine import Engine
from tests.support.models import build

CLASSIFIER, TOPICS, NLI, MASKED, EMBEDDER = "classifier", "topics", "nli", "masked", "embedder"
ENTAILMENT = ("contradiction", "neutral", "entailment")
START_S = 30.0


class EngineServed:
    """`labelstream.deploy.gateway.served.Served` over engines in this process.

    - `engines`: by the names of the models, in the order of the config.
    - `refusal`: if set, `model` and `answer` raise it.
    - `asked`: all requests that reached an engine.
    """

    max_texts = 1_024

    def __init__(self, engines: Mapping[str, Engine], default_model: str | None = None) -> None:
        self.engines, self._default_model = engines, default_model
        self.refusal: RequestRefused | None = None
        self.asked: list[Request] = []

    def models(self) -> Sequence[str]:
        """See `Served.models`."""
        return tuple(self.engines)

    async def model(self, name: str | None, tasks: Collection[TaskName]) -> Model:
        """See `Served.model`."""
        self._refuse()
        if name is not None and name not in self.engines:
            raise UnknownModel(f"no model {name}; the models are {', '.join(self.engines)}")
        names = [self._default_model, *self.engines] if name is None else [name]
        for known in names:
            if known is not None and TaskName(self.engines[known].description.task) in tasks:
                return Model(known, self.engines[known].description)
        wanted = ", ".join(tasks)
        others = [name for name, engine in self.engines.items() if engine.description.task in tasks] or ["no model"]
        raise WrongTask(f"model: {name or 'none'} does not do {wanted}; {', '.join(others)} does")

    async def answer(self, model: Model, requests: Sequence[Request]) -> list[Answer]:
        """See `Served.answer`."""
        self._refuse()
        self.asked += requests
        return await asyncio.wrap_future(self.engines[model.name].submit(requests))

    async def ready(self, name: str | None = None) -> bool:
        """See `Served.ready`."""
        return self.refusal is None and (name is None or name in self.engines)

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal


@contextmanager
def small_models(folder: Path) -> Iterator[EngineServed]:
    """Small random models of each task, built below `folder`: a classifier with exclusive labels, one with independent
    labels, one for zero-shot, one for fill-mask, and one for embeddings. `CLASSIFIER` and others are their names.
    """
    sources = {
        CLASSIFIER: (build(folder / CLASSIFIER, labels=("a", "b", "c")), TaskName.TEXT_CLASSIFICATION),
        TOPICS: (
            build(folder / TOPICS, "roberta", labels=("x", "y", "z"), problem_type="multi_label_classification"),
            TaskName.TEXT_CLASSIFICATION,
        ),
        NLI: (build(folder / NLI, "bert", labels=ENTAILMENT), TaskName.ZERO_SHOT),
        MASKED: (build(folder / MASKED, "bert", architecture="ForMaskedLM"), TaskName.FILL_MASK),
        EMBEDDER: (build(folder / EMBEDDER, "mpnet", architecture="Model"), TaskName.EMBEDDING),
    }
    with_prompt(folder / EMBEDDER, {"query": "query: "})
    with ExitStack() as opened:
        yield EngineServed(
            {
                name: opened.enter_context(
                    Engine.load(source, task=task, device="cpu", dtype="float32", backend="torch")
                )
                for name, (source, task) in sources.items()
            }
        )


def with_prompt(folder: Path, prompts: Mapping[str, str]) -> None:
    """Make the model in `folder` a sentence-transformers repository that has `prompts`."""
    steps = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve `app` on a free port of 127.0.0.1 in a thread. Yields http://127.0.0.1:PORT."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gateway-under-test", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"  # the kernel queues connections before the server accepts
    finally:
        server.should_exit = True
        thread.join(START_S)
        listener.close()
