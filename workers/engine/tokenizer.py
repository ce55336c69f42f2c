"""Text -> packed token ids, equal to what `transformers.pipeline(..., truncation=True)` feeds its model. No torch.

Truncation is done here and not by `tokenizers`: there a truncated pair of long texts costs memory by the product of
their lengths (two texts of 20,000 words took 8 GB and 8 s).
"""

import os
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from workers.classifier import Request
from workers.engine.description import Keep, ModelDescription
from workers.engine.frame import ID_BYTES, frames, int32_bytes
from workers.engine.packed import PackedSequences
from workers.engine.words import words_of
from workers.errors import ModelError

# One thread: a worker shares its machine with other workers, and threads of one only take the cores from the others.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class TextTokenizer:
    """Encodes texts for the model of `description`. One calling thread at a time.

    `single`, `pair`: the special tokens around a text and around two. `cut_at`: so many words of a text are enough;
    None: all may be needed. Raises ModelError where the special tokens leave no room for a text, or are not a plain
    frame.
    """

    def __init__(self, description: ModelDescription) -> None:
        self._tokenizer = Tokenizer.from_str(description.tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.single, self.pair = frames(self._tokenizer)
        self._words = words_of(self._tokenizer)
        self.max_length, self.keep = description.max_length, description.keep
        # Words behind these are never kept, and each gives at least one token.
        self.cut_at = self.max_length if self.keep is Keep.HEAD else None
        if description.max_length < self.pair.special_count + 2:
            raise ModelError(
                f"{description.source}: max_length {description.max_length} leaves no room for a text "
                f"beside {self.pair.special_count} special tokens; set a larger one"
            )

    @property
    def backend(self) -> Tokenizer:
        """The fast tokenizer, as the description has it."""
        return self._tokenizer

    @property
    def has_word_cache(self) -> bool:
        """Whether texts are answered from the word cache."""
        return self._words is not None

    def encode(self, requests: Sequence[Request]) -> tuple[PackedSequences, list[bool]]:
        """One sequence for each request's text, or text and pair; and which of them were longer than the model takes.

        An empty pair counts as none, as in transformers. A sequence may be empty where the tokenizer adds no special
        tokens. Raises UnicodeEncodeError for lone surrogates.
        """
        sequences: list[bytes] = []
        truncated = [False] * len(requests)
        slow: list[int] = []
        room = self.max_length - self.single.special_count
        limit, (prefix, suffix) = room * ID_BYTES, self.single.ids
        cut_at = self.cut_at
        for i, request in enumerate(requests):
            content = None if request.text_pair else self._cached(request.text, cut_at)
            if content is None:
                slow.append(i)
                sequences.append(b"")
                continue
            if len(content) > limit:
                content = cut(content, room, self.keep)
                truncated[i] = True
            sequences.append(prefix + content + suffix)
        types = self._encode_slowly(requests, slow, sequences, truncated) if slow else {}
        return pack(sequences, types), truncated

    def contents(self, texts: Sequence[str], cut_at: int | None = None) -> list[bytes]:
        """Each text's int32 ids without special tokens: all of them, or at least those of its first `cut_at` words.

        Raises UnicodeEncodeError for lone surrogates.
        """
        found = [self._cached(text, cut_at) for text in texts]
        slow = [i for i, content in enumerate(found) if content is None]
        for i, content in zip(slow, self._ask([texts[i] for i in slow]), strict=True):
            found[i] = content
        return [content for content in found if content is not None]

    def _cached(self, text: str, cut_at: int | None) -> bytes | None:
        """The text's ids without special tokens, of at least its first `cut_at` words; None: ask the tokenizer."""
        return None if self._words is None else self._words.ids(text, cut_at)

    def _ask(self, texts: list[str]) -> list[bytes]:
        if not texts:
            return []
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [int32_bytes(encoding.ids) for encoding in encodings]

    def _encode_slowly(
        self, requests: Sequence[Request], rows: list[int], sequences: list[bytes], truncated: list[bool]
    ) -> dict[int, bytes]:
        """Fill `rows` of `sequences` and `truncated`, pairs among them; row -> type ids where not all zero."""
        texts: list[str] = []
        for row in rows:
            request = requests[row]
            texts.append(request.text)
            if request.text_pair:
                texts.append(request.text_pair)
        asked = iter(self.contents(texts))
        types: dict[int, bytes] = {}
        for row in rows:
            frame = self.pair if requests[row].text_pair else self.single
            contents = [next(asked) for _ in frame.content_types]
            lengths = [len(content) // ID_BYTES for content in contents]
            kept = _longest_first(lengths, self.max_length - frame.special_count)
            truncated[row] = kept != lengths
            parts = [cut(content, n, self.keep) for content, n in zip(contents, kept, strict=True)]
            sequences[row] = frame.wrap(parts)
            if frame.has_types:
                types[row] = frame.types(parts)
        return types


def cut(content: bytes, room: int, keep: Keep) -> bytes:
    """At most `room` ids of `content`, by the rule of `keep`."""
    limit = room * ID_BYTES
    if len(content) <= limit:
        return content
    if keep is Keep.HEAD:
        return content[:limit]
    head = 0 if keep is Keep.TAIL else room // 4 * ID_BYTES
    return content[:head] + content[len(content) - (limit - head) :]


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


def pack(sequences: list[bytes], types: dict[int, bytes]) -> PackedSequences:
    """Sequences of int32 ids; `types`: row -> its type ids, one byte each, where not all zero."""
    ids = np.frombuffer(b"".join(sequences), np.int32)
    lengths = np.fromiter(map(len, sequences), np.int32, len(sequences)) // ID_BYTES
    if not types:
        return PackedSequences(ids, lengths)
    parts = [types.get(row, bytes(len(ids) // ID_BYTES)) for row, ids in enumerate(sequences)]
    return PackedSequences(ids, lengths, np.frombuffer(b"".join(parts), np.uint8))
