"""The texts that calibrate a quantized model, and the held-out texts that check it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import ModelError
from labelstream.workers.file_errors import file_problem

_CALIBRATION, _HELD_OUT = 200, 500
LEAST = 100  # minimum number of lines of a file
_MADE_UP = 600
_MEAN_TOKENS = 32
_MADE_UP_LABELS = 5


class Material(NamedTuple):
    """`digest`: identifies the texts; synthetic texts depend on the model's revision only."""

    calibration: list[Request]
    held_out: list[Request]
    digest: str


def material_for(description: ModelDescription, file: Path | None) -> Material:
    """The texts of `file` (one per line, or a pair with a tab between), or synthetic ones. Raises ModelError."""
    if file is None:
        texts, digest = _made_up(description), "made up"
    else:
        texts, digest = _read(description.source, file)
    half = len(texts) // 2
    # Alternating lines, because the two halves of a file may differ in time or kind.
    return Material(texts[::2][: min(half, _CALIBRATION)], texts[1::2][:_HELD_OUT], digest)


def _read(source: str, file: Path) -> tuple[list[Request], str]:
    try:
        content = file.expanduser().read_bytes()
        lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{source}: calibration_texts: {file} cannot be read ({file_problem(error, file)}); "
            "name a file with one text per line"
        ) from None
    if len(lines) < LEAST:
        raise ModelError(
            f"{source}: calibration_texts: {file} has {len(lines)} texts; add texts, one per line, up to at least "
            f"{LEAST} (best {2 * _HELD_OUT}), or remove calibration_texts to use synthetic ones"
        )
    parts = [line.partition("\t") for line in lines]
    return [Request(text, pair or None) for text, _, pair in parts], hashlib.sha256(content).hexdigest()


def _made_up(description: ModelDescription) -> list[Request]:
    tokenizer = TextTokenizer(description).backend
    texts = make_texts(tokenizer, _MADE_UP, _MEAN_TOKENS)
    if description.zero_shot is None:
        return [Request(text) for text in texts]
    labels = description.zero_shot.labels or _labels(texts)
    return [Request(text, candidate_labels=labels) for text in texts[: len(texts) // len(labels) + 2]]


def _labels(texts: Sequence[str]) -> tuple[str, ...]:
    words = dict.fromkeys(word for text in texts for word in text.split())
    return tuple(words)[:_MADE_UP_LABELS]
