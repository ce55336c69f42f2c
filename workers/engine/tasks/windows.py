"""Long texts as several sequences, and the windows' scores as one answer. No torch.

The windows are those of `tokenizers` with `return_overflowing_tokens`: of equal length but the last one, each begins
`stride` tokens before the end of the one before.
"""

from collections.abc import Sequence

import numpy as np

from labelstream.workers.classifier import RecordError, Request
from labelstream.workers.engine.description import Windows
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tasks.postprocess import by_label
from labelstream.workers.engine.tokenization.refusals import NO_TOKENS, too_large
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer, cut, pack


def encode_windows(
    tokenizer: TextTokenizer, windows: Windows, requests: Sequence[Request]
) -> tuple[RaggedSequences, tuple[list[int], list[bool]], dict[int, RecordError]]:
    """All windows of all requests, in order; how many each request has, and which texts were cut behind the last one.
    The last part: row -> why a request is left out of all of these.

    A text's pair stands whole in each of its windows; where it takes more than half of the room it is cut to that.
    """
    texts = tokenizer.contents([request.text for request in requests], windows.max_windows * tokenizer.max_length + 1)
    pairs = tokenizer.contents([request.text_pair or "" for request in requests], tokenizer.enough, tokenizer.keep)
    sequences: list[bytes] = []
    types: dict[int, bytes] = {}
    counts, truncated = [], []
    refused: dict[int, RecordError] = {}
    for i, (request, content, pair) in enumerate(zip(requests, texts, pairs, strict=True)):
        if isinstance(content, RecordError):
            refused[i] = content
            continue
        if isinstance(pair, RecordError):
            refused[i] = pair
            continue
        frame = tokenizer.pair if request.text_pair else tokenizer.single
        room = tokenizer.max_length - frame.special_count
        kept = cut(pair, room // 2, tokenizer.keep)
        found = spans(len(content) // ID_BYTES, room - len(kept) // ID_BYTES, windows.stride, windows.max_windows + 1)
        parts = found[: windows.max_windows]
        beside = frame.special_count + len(kept) // ID_BYTES
        tokens = sum(last - first + beside for first, last in parts)
        if not tokens or tokens > tokenizer.max_tokens:
            refused[i] = too_large(tokens, len(parts), tokenizer.max_tokens) if tokens else NO_TOKENS
            continue
        counts.append(len(parts))
        truncated.append(len(found) > len(parts) or len(kept) < len(pair))
        for first, last in parts:
            contents = [content[first * ID_BYTES : last * ID_BYTES], kept][: len(frame.content_types)]
            if frame.has_types:
                types[len(sequences)] = frame.types(contents)
            sequences.append(frame.wrap(contents))
    return pack(sequences, types), (counts, truncated), refused


def spans(length: int, room: int, stride: int, most: int) -> list[tuple[int, int]]:
    """First and last (exclusive) of the windows over `length` tokens, of `room` at most; at least one, and `most`.

    Neighbours share `stride` tokens, or all but one where the room is not larger than that.
    """
    step = max(1, room - stride)
    found = [(0, min(room, length))]
    while found[-1][1] < length and len(found) < most:
        first = found[-1][0] + step
        found.append((first, min(first + room, length)))
    return found


def aggregate(scored: ScoredSequences, counts: Sequence[int], labels: int, how: str) -> ScoredSequences:
    """The windows' scores of each request as one row: all `labels`, best first. `scored` must not be ranked.

    `how`: "mean" or "max" of each label's scores. A request one of whose windows has an error has that error.
    """
    if not counts or sum(counts) != len(scored.scores):
        raise ValueError(f"{len(scored.scores)} answers for {sum(counts)} windows")
    ends = np.cumsum(counts)
    starts = ends - np.asarray(counts)
    every = by_label(scored, labels)
    if how == "mean":
        whole = np.add.reduceat(every, starts) / np.asarray(counts, np.float32)[:, None]
    else:
        whole = np.maximum.reduceat(every, starts)
    errors: dict[int, RecordError] = {}
    for row in sorted(scored.errors):
        errors.setdefault(int(np.searchsorted(ends, row, side="right")), scored.errors[row])
    order = np.argsort(-whole, kind="stable")
    return ScoredSequences(order.astype(np.int32), np.take_along_axis(whole, order, 1).astype(np.float32), errors)
