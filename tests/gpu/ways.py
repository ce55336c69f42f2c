"""The ways that are compared: from a textbook loop to all that the engine has, each step upon the ones before it."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from workers.engine.batcher import pad
from workers.engine.forwards import Rows
from workers.engine.graphs import CudaRecorder, Graphs
from workers.engine.loading import load
from workers.engine.options import ModelOptions
from workers.engine.packed import PackedSequences, ScoredSequences, split
from workers.engine.predictor import Predictor
from workers.engine.staging import Arrays, Stager

SMALL, USUAL = 4_096, 16_384
_JOINED_TOKENS, _JOINED_FORWARDS = 32_768, 4  # of one call, as `deploy.replica` joins them


class Way(NamedTuple):
    """`run`: float32 [n, labels] scores by label. `counts`: tokens and slots since the start. `share`: of all texts,
    for what is slow. `budget`: tokens of a forward. `narrowed`: the last layer runs for what is read alone."""

    name: str
    run: Callable[[PackedSequences], np.ndarray[Any, Any]]
    counts: Callable[[], tuple[int, int]]
    budget: int
    narrowed: bool = True
    share: float = 1.0


Maker = Callable[[], Way]


def makers(folder: Path, device: str, half: str) -> Sequence[tuple[str, Maker]]:
    """(name, what makes it); a way that cannot be made must not cost the others."""
    def engine(name: str, budget: int | None, **options: Any) -> tuple[str, Maker]:
        return name, lambda: _engine(name, folder, device, half, budget, **options)

    return (
        ("textbook, float32, batches of 32", lambda: _textbook(folder, device, "float32", 32)),
        (f"textbook, {half}, batches of 128", lambda: _textbook(folder, device, half, 128)),
        engine(f"sorted, {half}, {USUAL} tokens", USUAL, plain_copies=True, narrowed=False, overlaps=False),
        engine(f"+ copies on their own stream, {USUAL} tokens", USUAL, narrowed=False, overlaps=False),
        engine(f"+ last layer for what is read, {USUAL} tokens", USUAL, overlaps=False),
        engine(f"+ calls begun before others end, {USUAL} tokens", USUAL),
        engine("+ budget found at the start", None),
        engine(f"padded, {SMALL} tokens", SMALL),
        engine(f"padded, {SMALL} tokens, CUDA graphs", SMALL, graphs=True),
        engine(f"without padding, {USUAL} tokens", USUAL, attention="packed"),
        engine("without padding, budget found", None, attention="packed"),
        engine("without padding, budget found, CUDA graphs", None, attention="packed", graphs=True),
        engine("without padding, budget found, compiled layers", None, attention="packed", compiled=True),
    )


def _engine(
    name: str, folder: Path, device: str, dtype: str, budget: int | None, *, attention: str = "padded",
    graphs: bool = False, plain_copies: bool = False, compiled: bool = False, narrowed: bool = True,
    overlaps: bool = True,
) -> Way:
    options = ModelOptions(device=device, dtype=dtype, attention=attention, backend="torch")
    description, backend = load(str(folder), options)
    if not narrowed:
        _widen(backend)
    if graphs:
        # On a CPU nothing can be recorded: the shapes are rounded, and the rest stays as it is.
        backend._graphs = Graphs(CudaRecorder(torch.device(device)) if device == "cuda" else _cannot)
    if plain_copies:  # as it was before: each array by itself, from memory that is not pinned, and a mask to look into
        backend._stage, backend._wide_masks = _plain(torch.device(device)), False
    if compiled:
        for layer in _layers(backend):
            layer.compile(dynamic=True)
    predictor = Predictor(description, backend, budget)
    predictor.warm_up()
    if attention == "packed" and not predictor.packs:
        raise RuntimeError("it fell back to padding; the log says why")
    joined = max(_JOINED_TOKENS, _JOINED_FORWARDS * predictor.max_batch_tokens)

    def run(packed: PackedSequences) -> np.ndarray[Any, Any]:
        found: list[np.ndarray[Any, Any]] = []
        begun: deque[Callable[[], ScoredSequences]] = deque()
        for part in split(packed, len(packed.lengths), joined):
            begun.append(predictor.begin(part, 2))
            if len(begun) > overlaps:
                found.append(_by_label(begun.popleft()()))
        return np.concatenate([*found, *(_by_label(answers()) for answers in begun)])

    return Way(name, run, lambda: (predictor.tokens, predictor.slots), predictor.max_batch_tokens, narrowed)


def _by_label(scored: ScoredSequences) -> np.ndarray[Any, Any]:
    assert scored.label_ids is not None
    assert not scored.errors
    return np.take_along_axis(scored.scores, np.argsort(scored.label_ids, axis=1), axis=1)


def _textbook(folder: Path, device: str, dtype: str, batch_size: int) -> Way:
    """Batches in the order of arrival, padded to their longest, each one's scores fetched before the next one."""
    _, backend = load(str(folder), ModelOptions(device=device, dtype=dtype, backend="torch"))
    backend._stage, backend._wide_masks = _plain(torch.device(device)), False
    _widen(backend)
    done = [0, 0]

    def run(packed: PackedSequences) -> np.ndarray[Any, Any]:
        of, found = Rows(packed), []
        for start in range(0, len(packed.lengths), batch_size):
            rows = np.arange(start, min(len(packed.lengths), start + batch_size))
            batch = pad(packed, of.starts, rows, backend.pad_id)
            done[0] += int(batch.lengths.sum())
            done[1] += batch.ids.size
            found.append(torch.softmax(backend.logits(batch).float(), -1).cpu().numpy())
        return np.concatenate(found)

    return Way(f"textbook, {dtype}", run, lambda: (done[0], done[1]), 0, False, share=1 / 16)


def _layers(backend: Any) -> list[torch.nn.Module]:
    return list(backend._read._model.base_model.transformer.layer)


def _widen(backend: Any) -> None:
    """As transformers has it: the last layer runs for all tokens."""
    layers = backend._read._model.base_model.transformer.layer
    layers[-1] = layers[-1].layer
    backend._read.narrowed = False


def _plain(device: torch.device) -> Stager:
    def stage(arrays: Arrays) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}

    return stage


def _cannot(compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
    raise RuntimeError("a CPU records nothing")
