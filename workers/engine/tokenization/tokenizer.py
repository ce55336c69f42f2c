"""Text to ragged token ids, equal to the input of `transformers.pipeline(..., truncation=True)`'s model. No torch.

Truncation is done here, because `tokenizers` tokenizes long texts whole, and truncating a pair there takes memory by
the product of both lengths (two texts of 20,000 words took 8 GB and 8 s).
"""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS, RecordError, Request
from labelstream.workers.engine.description import Keep, ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.engine.tokenization.edge_tokens import openings_of
from labelstream.workers.engine.tokenization.refusals import NO_TOKENS, too_large, unreadable
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES, frames, int32_bytes
from labelstream.workers.engine.tokenization.split_points import places_of
from labelstream.workers.engine.tokenization.truncation import Truncation, cut, long_chars, longest_first
from labelstream.workers.engine.tokenization.word_rules import steps_of, words_of
from labelstream.workers.errors import ModelError

# One thread per worker: the workers of a machine share its cores, and more threads would take cores from other workers.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Encoded(NamedTuple):
    """`packed`, `truncated`: of the requests that are not in `refused`, in order. `refused`: row -> its error."""

    packed: RaggedSequences
    truncated: list[bool]
    refused: dict[int, RecordError]


class TextTokenizer:
    """Tokenizes texts for the model of `description`. One calling thread at a time.

    `single`, `pair`: the special tokens around one text and around two. `enough`: max_length + 1; longer texts are
    truncated, so only this many tokens at the ends that `keep` names are computed. `max_tokens`: tokens of a request
    at most. Raises ModelError if the special tokens leave no room for a text, or depend on the text.
    """

    def __init__(self, description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = Tokenizer.from_str(description.tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.single, self.pair = frames(self._tokenizer)
        parts = json.loads(self._tokenizer.to_str())
        self._words = words_of(self._tokenizer, parts=parts)
        places = openings = None
        if self._words is not None:
            steps = steps_of(parts["normalizer"], "normalizers")
            places = places_of(self._tokenizer, parts, [step["type"] for step in steps])
            openings = openings_of(self._tokenizer, parts, steps)
        self._ends = Truncation(places, openings, self._words, self._ask_one)
        self.max_length, self.keep = description.max_length, description.keep
        self.enough = self.max_length + 1
        self._long_chars = long_chars(self.enough)
        if description.max_length < self.pair.special_count + 2:
            raise ModelError(
                f"{description.source}: max_length {description.max_length} leaves no room for a text "
                f"beside {self.pair.special_count} special tokens; set a larger one"
            )

    @property
    def backend(self) -> Tokenizer:
        """The fast tokenizer of the description, without truncation and padding."""
        return self._tokenizer

    @property
    def has_word_cache(self) -> bool:
        """Whether the ids of a text come from the word cache."""
        return self._words is not None

    def encode(self, requests: Sequence[Request]) -> tuple[RaggedSequences, list[bool]]:
        """As `encode_each`, for texts that are known to be good. Raises ValueError if a text is refused."""
        packed, truncated, refused = self.encode_each(requests)
        if refused:
            raise ValueError(f"{len(refused)} of {len(requests)} texts are refused: {refused[min(refused)].message}")
        return packed, truncated

    def encode_each(self, requests: Sequence[Request]) -> Encoded:
        """Make one sequence per request, of its text or its text and text_pair, truncated to `max_length`.

        An empty text_pair counts as none, as in transformers. Refused are texts for which the tokenizer raises, texts
        without any token, and sequences of more than `max_tokens`. Never raises for a request's content.
        """
        sequences: list[bytes] = []
        truncated = [False] * len(requests)
        slow: list[int] = []
        room = self.max_length - self.single.special_count
        limit, (prefix, suffix) = room * ID_BYTES, self.single.ids
        most_chars, max_words = self._long_chars, self.enough if self.keep is Keep.HEAD else None
        for i, request in enumerate(requests):
            text = request.text
            content = None if request.text_pair or len(text) > most_chars else self._cached(text, max_words)
            if content is None:
                slow.append(i)
                sequences.append(b"")
                continue
            if len(content) > limit:
                content = cut(content, room, self.keep)
                truncated[i] = True
            sequences.append(prefix + content + suffix)
        refused: dict[int, RecordError] = {}
        types = self._encode_slowly(requests, slow, sequences, truncated, refused) if slow else {}
        if not all(sequences):
            refused = {i: NO_TOKENS for i, sequence in enumerate(sequences) if not sequence} | refused
        if self.max_length > self.max_tokens:
            lengths = [len(sequence) // ID_BYTES for sequence in sequences]
            refused |= {i: too_large(n, 1, self.max_tokens) for i, n in enumerate(lengths) if n > self.max_tokens}
        if refused:
            accepted = [i for i in range(len(requests)) if i not in refused]
            types = {row: types[i] for row, i in enumerate(accepted) if i in types}
            sequences, truncated = [sequences[i] for i in accepted], [truncated[i] for i in accepted]
        return Encoded(pack(sequences, types), truncated, refused)

    def contents(
        self, texts: Sequence[str], enough: int | None = None, keep: Keep = Keep.HEAD
    ) -> list[bytes | RecordError]:
        """int32 ids of each text without special tokens, or why there are none.

        `enough`: of a text with more ids than this, at least so many ids from its start, its end, or both, by `keep`.
        `cut` to fewer than `enough` ids then gives the same result as for all ids. None: all ids.
        """
        found: list[bytes | RecordError | None] = [self._content(text, enough, keep) for text in texts]
        slow = [i for i, content in enumerate(found) if content is None]
        for i, content in zip(slow, self._ask([texts[i] for i in slow]), strict=True):
            found[i] = content
        return [content for content in found if content is not None]

    def _content(self, text: str, enough: int | None, keep: Keep) -> bytes | RecordError | None:
        """The ids of a text by the cache or from its ends; None: tokenize the whole text."""
        if enough is None or len(text) <= long_chars(enough):
            return self._cached(text, enough if keep is Keep.HEAD else None)
        try:
            first = b"" if keep is Keep.TAIL else self._ends.first(text, enough)
            if keep is Keep.HEAD or (keep is Keep.HEAD_TAIL and len(first) < enough * ID_BYTES):
                return first
            return first + self._ends.last(text, enough)
        except BaseException as error:
            return unreadable(error, text)

    def _ask_one(self, part: str) -> bytes:
        return int32_bytes(self._tokenizer.encode_batch_fast([part], add_special_tokens=False)[0].ids)

    def _cached(self, text: str, max_words: int | None) -> bytes | None:
        """Ids of at least the first `max_words` words, without special tokens; None: ask the tokenizer."""
        if self._words is None:
            return None
        try:
            return self._words.ids(text, max_words)
        except BaseException as error:
            unreadable(error, text)
            return None  # `_ask` asks the tokenizer again, and refuses this text alone

    def _ask(self, texts: list[str]) -> list[bytes | RecordError]:
        if not texts:
            return []
        try:
            encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except BaseException as error:
            refusal = unreadable(error, texts[0])
            return [refusal] if len(texts) == 1 else [found for text in texts for found in self._ask([text])]
        return [int32_bytes(encoding.ids) for encoding in encodings]

    def _encode_slowly(
        self,
        requests: Sequence[Request],
        rows: list[int],
        sequences: list[bytes],
        truncated: list[bool],
        refused: dict[int, RecordError],
    ) -> dict[int, bytes]:
        """Fill the lists at `rows`, whose requests have pairs or miss the cache. Returns nonzero type ids by row."""
        texts: list[str] = []
        for row in rows:
            request = requests[row]
            texts.append(request.text)
            if request.text_pair:
                texts.append(request.text_pair)
        asked = iter(self.contents(texts, self.enough, self.keep))
        types: dict[int, bytes] = {}
        for row in rows:
            frame = self.pair if requests[row].text_pair else self.single
            parts: list[bytes] = []
            for content in [next(asked) for _ in frame.content_types]:
                if isinstance(content, bytes):
                    parts.append(content)
                else:
                    refused[row] = content
            if row in refused:
                continue
            room = self.max_length - frame.special_count
            if sum(map(len, parts)) > room * ID_BYTES:
                truncated[row] = True
                kept = longest_first(self._lengths(requests[row], parts, room), room)
                parts = [cut(content, n, self.keep) for content, n in zip(parts, kept, strict=True)]
            sequences[row] = frame.wrap(parts)
            if frame.has_types:
                types[row] = frame.types(parts)
        return types

    def _lengths(self, request: Request, contents: list[bytes], room: int) -> list[int]:
        """Number of ids of each text; of `contents`, which may be cut, if that decides the truncation.

        If both texts of a pair are truncated to an odd room, the longer one keeps the odd token. This method then
        tokenizes further until one text is known to be longer.
        """
        lengths = [len(content) // ID_BYTES for content in contents]
        if not request.text_pair or room % 2 == 0:
            return lengths
        texts, enough = (request.text, request.text_pair), self.enough
        while min(lengths) >= enough:
            enough *= 4
            found = [len(ids) // ID_BYTES for ids in self.contents(texts, enough) if isinstance(ids, bytes)]
            if len(found) < len(texts):  # the tokenizer refuses a text for its unread rest
                break
            lengths = found
        return lengths


def pack(sequences: list[bytes], types: dict[int, bytes]) -> RaggedSequences:
    """Join int32 id sequences. `types`: row -> type ids, one byte each, for rows where they are not all zero."""
    ids = np.frombuffer(b"".join(sequences), np.int32)
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences)) // ID_BYTES
    if not types:
        return RaggedSequences(ids, lengths)
    parts = [types.get(row, bytes(len(ids) // ID_BYTES)) for row, ids in enumerate(sequences)]
    return RaggedSequences(ids, lengths, np.frombuffer(b"".join(parts), np.uint8))
