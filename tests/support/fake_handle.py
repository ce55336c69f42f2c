"""A Serve handle without Serve, and a model description whose tokenizer has seven words."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from labelstream.workers.engine.description import Activation, ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences

Answer = Callable[[RaggedSequences, int, str], Any]


def description(revision: str = "one", labels: tuple[str, ...] = ("no", "yes")) -> ModelDescription:
    words = ["[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return ModelDescription(
        "fake", revision, "text-classification", labels, Activation.SOFTMAX, 64, len(labels), tokenizer.to_str()
    )


def by_length(packed: RaggedSequences, top_k: int, revision: str) -> ScoredSequences:
    """Label 0 or 1 by whether the sequence has an even number of tokens, which reveals mixed-up rows."""
    del revision
    first = (packed.lengths % 2).astype(np.int32)
    ids = np.stack([first, 1 - first], axis=1)[:, :top_k]
    scores = np.tile(np.array([0.75, 0.25], np.float32), (len(first), 1))[:, :top_k]
    return ScoredSequences(ids, scores, {})


class NoPredictor:
    """A Predictor without a model or torch: answers by length, at once."""

    max_batch_tokens = 16_384
    tokens = slots = 0
    overlaps = False

    def probe(self) -> None:
        pass

    def measure(self) -> float:
        return 1_000.0

    def memory(self) -> dict[str, int]:
        return {}

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: object = None) -> Callable[[], ScoredSequences]:
        return partial(self.predict, packed, top_k)

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        return by_length(packed, top_k, "")


class FakeHandle:
    """`answers`: results of the next calls, in turn; the last one repeats. `calls`: the calls so far."""

    def __init__(self, *answers: Answer, describe: Callable[[], ModelDescription] = description) -> None:
        self.answers = list(answers or (by_length,))
        self.describe = describe
        self.calls: list[tuple[RaggedSequences, int, str]] = []
        self.options_of: dict[str, dict[str, Any]] = {}
        self.keywords: list[dict[str, Any]] = []  # of all calls
        self.cancelled = 0

    def options(self, *, method_name: str, **options: Any) -> "_Method":
        self.options_of[method_name] = options
        return _Method(self, method_name)

    def invoke(self, method: str, *args: Any) -> Any:
        if method == "describe":
            return self.describe()
        self.calls.append(args[:3])  # type: ignore[arg-type]
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(*args[:3])

    async def noted(self, ticket: str) -> float | None:
        return None


class _Method:
    def __init__(self, handle: FakeHandle, name: str) -> None:
        self._handle, self._name = handle, name

    def remote(self, *args: Any, **keywords: Any) -> "_Response":
        self._handle.keywords.append(keywords)
        return _Response(self._handle, self._name, args)


class _Response:
    def __init__(self, handle: FakeHandle, method: str, args: tuple[Any, ...]) -> None:
        self._handle, self._method, self._args = handle, method, args

    def __await__(self) -> Any:
        return self._run().__await__()

    async def _run(self) -> Any:
        await asyncio.sleep(0)
        result = self._handle.invoke(self._method, *self._args)
        return await result if asyncio.iscoroutine(result) else result

    def cancel(self) -> None:
        self._handle.cancelled += 1


def raising(error: BaseException) -> Answer:
    def answer(packed: RaggedSequences, top_k: int, revision: str) -> Any:
        raise error

    return answer


async def forever() -> None:
    await asyncio.Event().wait()


def hanging(packed: RaggedSequences, top_k: int, revision: str) -> Any:
    return forever()
