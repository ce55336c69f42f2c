"""Text -> packed token ids, equal to what `transformers.pipeline(..., truncation=True)` feeds its model. No torch.

Truncation is done here and not by `tokenizers`: there a truncated pair of long texts costs memory by the product of
their lengths (two texts of 20,000 words took 8 GB and 8 s).
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from workers.classifier import Request
from workers.engine.description import ModelDescription
from workers.engine.frame import frames, int32_bytes
from workers.engine.packed import PackedSequences
from workers.engine.wordcache import Uncacheable, splits_like_python, word_cache
from workers.errors import ModelError

# One thread: a worker shares its machine with other workers, and threads of one only take the cores from the others.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_ID_BYTES = 4
_LONG_TEXT_CHARS_PER_TOKEN = 8


class Tokenized(NamedTuple):
    """`packed`: one sequence per request, in order. `truncated[i]`: request i had more than the model takes."""

    packed: PackedSequences
    truncated: list[bool]


class TextTokenizer:
    """Encodes requests for the model of `description`. One calling thread at a time.

    Raises ModelError where the tokenizer's special tokens leave no room for a text, or are not a plain frame.
    """

    def __init__(self, description: ModelDescription) -> None:
        self._tokenizer = Tokenizer.from_str(description.tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._single, self._pair = frames(self._tokenizer)
        self._cache = word_cache(self._tokenizer)
        self._max_length = description.max_length
        self._keep_right = description.truncation_side == "left"
        if description.max_length < self._pair.special_count + 2:
            raise ModelError(
                f"{description.source}: max_length {description.max_length} leaves no room for a text "
                f"beside {self._pair.special_count} special tokens; set a larger one"
            )

    @property
    def has_word_cache(self) -> bool:
        """Whether texts are answered from the word cache."""
        return self._cache is not None

    def encode(self, requests: Sequence[Request]) -> Tokenized:
        """Encode each request's text, or text and pair; an empty pair counts as none, as in transformers.

        A sequence may be empty where the tokenizer adds no special tokens. Raises UnicodeEncodeError for lone
        surrogates.
        """
        sequences: list[bytes] = []
        truncated = [False] * len(requests)
        slow: list[int] = []
        limit = (self._max_length - self._single.special_count) * _ID_BYTES
        prefix, suffix = self._single.ids
        for i, request in enumerate(requests):
            content = None if request.text_pair else self._cached(request.text)
            if content is None:
                slow.append(i)
                sequences.append(b"")
                continue
            if len(content) > limit:
                content = content[-limit:] if self._keep_right else content[:limit]
                truncated[i] = True
            sequences.append(prefix + content + suffix)
        types = self._encode_slowly(requests, slow, sequences, truncated) if slow else {}
        return Tokenized(_pack(sequences, types), truncated)

    def _cached(self, text: str) -> bytes | None:
        """The text's ids without special tokens, possibly cut beyond what is kept; None: ask the tokenizer."""
        cache = self._cache
        if cache is None or not splits_like_python(text):
            return None
        if len(text) > self._max_length * _LONG_TEXT_CHARS_PER_TOKEN and not self._keep_right:
            words = text.split(None, self._max_length)[: self._max_length]  # each gives at least one token
        else:
            words = text.split()
        try:
            return b"".join(map(cache.__getitem__, words))
        except Uncacheable:
            return None

    def _encode_slowly(
        self, requests: Sequence[Request], rows: list[int], sequences: list[bytes], truncated: list[bool]
    ) -> dict[int, bytes]:
        """Fill `rows` of `sequences` and `truncated` by the tokenizer itself; row -> type ids where not all zero."""
        texts: list[str] = []
        for row in rows:
            request = requests[row]
            texts.append(request.text)
            if request.text_pair:
                texts.append(request.text_pair)
        encodings = iter(self._tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        types: dict[int, bytes] = {}
        for row in rows:
            frame = self._pair if requests[row].text_pair else self._single
            contents = [next(encodings).ids for _ in frame.content_types]
            room = self._max_length - frame.special_count
            lengths = _longest_first([len(content) for content in contents], room)
            truncated[row] = sum(lengths) < sum(map(len, contents))
            parts = [
                int32_bytes(content[len(content) - n :] if self._keep_right else content[:n])
                for content, n in zip(contents, lengths, strict=True)
            ]
            sequences[row] = frame.wrap(parts)
            if frame.has_types:
                types[row] = frame.types(parts)
        return types


def _longest_first(lengths: list[int], room: int) -> list[int]:
    """How much of each content is kept: the rule of `tokenizers` for `longest_first`."""
    if sum(lengths) <= room:
        return lengths
    if len(lengths) == 1:
        return [room]
    short, long = sorted(lengths)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return [short, long] if lengths[0] <= lengths[1] else [long, short]


def _pack(sequences: list[bytes], types: dict[int, bytes]) -> PackedSequences:
    ids = np.frombuffer(b"".join(sequences), np.int32)
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences)) // _ID_BYTES
    if not types:
        return PackedSequences(ids, lengths)
    parts = [types.get(row, bytes(len(ids) // _ID_BYTES)) for row, ids in enumerate(sequences)]
    return PackedSequences(ids, lengths, np.frombuffer(b"".join(parts), np.uint8))
