"""The special tokens around one text or a pair, observed from the tokenizer's post-processor. No torch."""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer

from labelstream.workers.errors import ModelError

ID_BYTES = 4  # bytes of an int32 id
# Type ids are bytes. 255 also stands for all larger type ids, so no model may have a row for 255.
LARGEST_TYPE = 255
_PROBES = (("good", "bad"), ("a b c", "the end of it"), ("1.", "x"), ("The price is 5!", "?"))


class SpecialTokensTemplate(NamedTuple):
    """The special tokens before, between and after the contents (one text, or two): one gap more than contents.

    `ids`: int32 bytes of each gap. `gap_types`: type ids of each gap, one byte per token. `content_types`: the type id
    of each content. `special_count`: tokens of all gaps together.
    """

    ids: tuple[bytes, ...]
    gap_types: tuple[bytes, ...]
    content_types: tuple[int, ...]
    special_count: int

    @property
    def has_types(self) -> bool:
        """Whether some type id is not zero."""
        return any(self.content_types) or any(map(any, self.gap_types))

    @property
    def largest_type(self) -> int:
        """The largest type id of the template."""
        return max(*self.content_types, *b"".join(self.gap_types), 0)

    def wrap(self, contents: Sequence[bytes]) -> bytes:
        """int32 bytes of the whole sequence."""
        parts = [self.ids[0]]
        for content, gap in zip(contents, self.ids[1:], strict=True):
            parts += (content, gap)
        return b"".join(parts)

    def types(self, contents: Sequence[bytes]) -> bytes:
        """Type ids of the whole sequence, one byte per token."""
        parts = [self.gap_types[0]]
        for content, kind, gap in zip(contents, self.content_types, self.gap_types[1:], strict=True):
            parts += (bytes((kind,)) * (len(content) // ID_BYTES), gap)
        return b"".join(parts)


def int32_bytes(ids: Sequence[int]) -> bytes:
    """`ids` as the bytes of an int32 array."""
    return array("i", ids).tobytes()


def frames(tokenizer: Tokenizer) -> tuple[SpecialTokensTemplate, SpecialTokensTemplate]:
    """The templates of a single text and of a pair.

    Raises ModelError if the post-processor does more than put fixed tokens around the contents. Truncating the contents
    before adding special tokens would then differ from transformers.
    """
    single = _frame_of(tokenizer.encode("good"), 1)
    pair = _frame_of(tokenizer.encode("good", "bad"), 2)
    for first, second in _PROBES:
        for frame, texts in ((single, (first,)), (pair, (first, second))):
            encoding = tokenizer.encode(first, texts[1] if len(texts) == 2 else None)
            types = bytes(map(_type_of, encoding.type_ids))
            contents = [int32_bytes(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
            if frame.wrap(contents) != int32_bytes(encoding.ids) or frame.types(contents) != types:
                raise ModelError(
                    "the tokenizer's post-processor does more than add special tokens around the texts; use a model "
                    "with a template such as '[CLS] $A [SEP]'"
                )
    return single, pair


def _frame_of(encoding: Encoding, count: int) -> SpecialTokensTemplate:
    """The template of `encoding`, an encoding of `count` contents in order."""
    ids: list[list[int]] = [[] for _ in range(count + 1)]
    gap_types: list[list[int]] = [[] for _ in range(count + 1)]
    content_types = [0] * count
    gap = 0
    for token, kind, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if sequence is None:
            ids[gap].append(token)
            gap_types[gap].append(_type_of(kind))
        else:
            gap = sequence + 1
            content_types[sequence] = _type_of(kind)
    return SpecialTokensTemplate(
        tuple(int32_bytes(part) for part in ids),
        tuple(bytes(part) for part in gap_types),
        tuple(content_types),
        sum(map(len, ids)),
    )


def _type_of(kind: int) -> int:
    return min(kind, LARGEST_TYPE)
