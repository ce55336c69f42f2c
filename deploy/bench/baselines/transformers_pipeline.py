"""`transformers.pipeline` as its users run it, with its fastest batches."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from labelstream.deploy.bench.measures.choice import fastest
from labelstream.deploy.bench.measures.timing import Took, timed

CLASSIFICATION, ZERO_SHOT = "text-classification", "zero-shot-classification"
BATCH_SIZES = {"cpu": (1, 8, 32), "cuda": (1, 32, 128, 512)}
_SHARE = 10  # the slow pipeline gets 1/10 of the texts
_MIN_SEQUENCES = 64
_TRIAL_SEQUENCES = 32


def make_pipeline(source: str, task: str, device: torch.device, dtype: torch.dtype | None) -> Any:
    """`dtype` None: the pipeline's default."""
    more: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    make: Any = transformers.pipeline  # pyright wants a literal task
    return make(task, model=source, device=device, **more)


class Batches(NamedTuple):
    """`by_length`: sort the texts first, for less padding."""

    size: int
    by_length: bool = False

    def __str__(self) -> str:
        return f"{self.size} {'by length' if self.by_length else 'texts'}"

    def ordered(self, texts: Sequence[str]) -> list[str]:
        return sorted(texts, key=len) if self.by_length else list(texts)


class BestPipeline:
    """Classifies the first of `texts`. `labels`: for zero-shot, with one sequence per label and text.

    `sorts`: sorted batches are tried as well, as a careful user would.
    """

    def __init__(
        self,
        source: str,
        device: torch.device,
        dtype: torch.dtype | None,
        texts: Sequence[str],
        labels: Sequence[str] = (),
        sorts: bool = False,
    ) -> None:
        self._pipeline = make_pipeline(source, ZERO_SHOT if labels else CLASSIFICATION, device, dtype)
        self.model: Any = self._pipeline.model
        self.dtype = str(self.model.dtype).removeprefix("torch.")
        self._options = {"candidate_labels": list(labels)} if labels else {"top_k": None, "truncation": True}
        per_text = max(1, len(labels))
        self._texts = list(texts[: max(_MIN_SEQUENCES // per_text, len(texts) // _SHARE)])
        trial = self._texts[: max(2, _TRIAL_SEQUENCES // per_text)]
        self._run(trial, Batches(1))
        ways = [Batches(size) for size in BATCH_SIZES[device.type]]
        ways += [way._replace(by_length=True) for way in ways if sorts and way.size > 1]
        self.batches = fastest(ways, lambda way: timed(lambda: self._run(trial, way)).seconds)

    def __len__(self) -> int:
        """The number of texts."""
        return len(self._texts)

    def run(self) -> Took:
        """Classify all texts."""
        return timed(lambda: self._run(self._texts, self.batches))

    def latencies_ms(self, count: int) -> list[float]:
        """Latencies of the first texts, one by one."""
        found = []
        for text in self._texts[:count]:
            started = time.perf_counter()
            self._run([text], Batches(1))
            found.append((time.perf_counter() - started) * 1000)
        return found

    def _run(self, texts: list[str], batches: Batches) -> None:
        self._pipeline(batches.ordered(texts), batch_size=batches.size, **self._options)


def padding_waste(lengths: NDArray[np.int32], batch_size: int, by_length: bool = False) -> float:
    """The share of padding if sequences are batched in order of arrival, or by length."""
    lengths = np.sort(lengths) if by_length else lengths
    batches = [lengths[first : first + batch_size] for first in range(0, len(lengths), batch_size)]
    return 1 - float(lengths.sum()) / sum(int(batch.max()) * len(batch) for batch in batches)
