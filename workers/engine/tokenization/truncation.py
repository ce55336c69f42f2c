"""The first or the last tokens of a long text, without tokenizing all of it: exactly those of the whole. No torch."""

from collections.abc import Callable

from labelstream.workers.engine.tokenization.edge_tokens import EdgeTokens
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.split_points import SplitPoints
from labelstream.workers.engine.tokenization.word_rules import WordRules

PART_CHARS = 8  # of a token's share of a part, at first: words have about six characters, with the space before them
_PROBE_CHARS = 1_000  # in which a place is looked for: to look for one everywhere takes longer than to tokenize
_TRIED_CHARS = (6, 24)  # the same, of what is looked at of a text that has no place to be cut at


class Truncation:
    """Of one tokenizer's texts. One calling thread at a time. `ask`: the int32 ids of a part, by the tokenizer."""

    def __init__(
        self,
        places: SplitPoints | None,
        openings: EdgeTokens | None,
        words: WordRules | None,
        ask: Callable[[str], bytes],
    ) -> None:
        self._places, self._openings, self._words, self._ask = places, openings, words, ask

    def first(self, text: str, most: int) -> bytes:
        """The first `most` ids of `text` or more; all of them where it has fewer."""
        found: list[bytes] = []
        start, left, size = 0, most, most * PART_CHARS
        while start < len(text) and left > 0:
            end = self._place(text, start + size)
            if end is None:
                ids = self._tried(text[start:], left, from_start=True)
                if ids is not None:
                    return b"".join((*found, ids))
                end, size = self._far(text, start, size)
                found.append(self._ask(self._short(text[start:end])))
            else:
                found.append(self._read(text[start:end], left))
            left -= len(found[-1]) // ID_BYTES
            start, size = end, 2 * size
        return b"".join(found)

    def last(self, text: str, most: int) -> bytes:
        """The last `most` ids of `text` or more; all of them where it has fewer."""
        found: list[bytes] = []
        end, left, size = len(text), most, most * PART_CHARS
        while end > 0 and left > 0:
            start = self._place_before(text, end - size)
            if start is None:
                ids = self._tried(text[:end], left, from_start=False)
                if ids is not None:
                    return b"".join((ids, *reversed(found)))
                start, size = self._far_before(text, end, size)
                found.append(self._ask(self._short(text[start:end])))
            else:
                found.append(self._read(text[start:end], None))
            left -= len(found[-1]) // ID_BYTES
            end, size = start, 2 * size
        return b"".join(reversed(found))

    def _place(self, text: str, least: int) -> int | None:
        """A place a little behind `least`; the text's end where that is near."""
        if least + _PROBE_CHARS >= len(text):
            return len(text)
        return None if self._places is None else self._places.first(text, least, least + _PROBE_CHARS)

    def _place_before(self, text: str, most: int) -> int | None:
        """A place a little before `most`; the text's beginning where that is near."""
        if most <= _PROBE_CHARS:
            return 0
        return None if self._places is None else self._places.first(text, most - _PROBE_CHARS, most)

    def _far(self, text: str, start: int, size: int) -> tuple[int, int]:
        """The first place that is found twice as far, or twice as far again; and how far."""
        while (end := self._place(text, start + size)) is None:
            size *= 2
        return end, size

    def _far_before(self, text: str, end: int, size: int) -> tuple[int, int]:
        """As `_far`, to the left."""
        while (start := self._place_before(text, end - size)) is None:
            size *= 2
        return start, size

    def _read(self, part: str, most: int | None) -> bytes:
        """The ids of `part`, of its first `most` words or more."""
        ids = None if self._words is None else self._words.ids(part, most)
        return self._ask(part) if ids is None else ids

    def _tried(self, text: str, left: int, *, from_start: bool) -> bytes | None:
        """`left` ids or more of an end of a text that has no place near there; None: it does not tell."""
        if self._openings is None:
            return None
        for size in (left * chars for chars in _TRIED_CHARS):
            ids = self._openings.opening(text[:size]) if from_start else self._openings.closing(text[-size:])
            if len(ids) >= left * ID_BYTES:
                return ids
        return None

    def _short(self, part: str) -> str:
        return part if self._places is None else self._places.shortened(part)
