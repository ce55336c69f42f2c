"""Splits long texts into windows, one sequence each, and aggregates the windows' scores. No torch.

The windows equal those of `tokenizers` with `return_overflowing_tokens`: all but the last have the same length, and
each starts `stride` tokens before the end of the previous one.
"""

from collections.abc import Sequence

import numpy as np

from labelstream.workers.classifier import RecordError, Request
from labelstream.workers.engine.description import Windows
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.engine.tasks.postprocess import by_label
from labelstream.workers.engine.tokenization.refusals import NO_TOKENS, too_large
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer, pack
from labelstream.workers.engine.tokenization.truncation import cut


def encode_windows(
    tokenizer: TextTokenizer, windows: Windows, requests: Sequence[Request]
) -> tuple[RaggedSequences, tuple[list[int], list[bool]], dict[int, RecordError]]:
    """All windows of all requests, in order; (windows per request, whether each text has an unread rest); row -> error.

    Refused requests are in the third part only. Each window contains the whole text_pair, truncated to half of the room
    beside the special tokens.
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


def spans(length: int, room: int, stride: int, max_windows: int) -> list[tuple[int, int]]:
    """First and last (exclusive) token of 1 to `max_windows` windows of at most `room` tokens over `length` tokens.

    Neighboring windows share `stride` tokens, but start at least one token apart.
    """
    step = max(1, room - stride)
    found = [(0, min(room, length))]
    while found[-1][1] < length and len(found) < max_windows:
        first = found[-1][0] + step
        found.append((first, min(first + room, length)))
    return found


def aggregate(scored: ScoredSequences, counts: Sequence[int], labels: int, how: str) -> ScoredSequences:
    """Aggregate the scores of each request's `counts[i]` windows into one row with all `labels`, best first.

    `scored`: not ranked. `how`: "mean" or "max" of each label's scores. An error of a window is the request's error.
    Raises ValueError if the rows of `scored` do not add up.
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
