"""Truncation: the ends of a long text without tokenizing all of it, and how many ids of each text stay. No torch."""

from collections.abc import Callable

from labelstream.workers.engine.description import Keep
from labelstream.workers.engine.tokenization.edge_tokens import EdgeTokens
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.split_points import SplitPoints
from labelstream.workers.engine.tokenization.word_rules import WordRules

PART_CHARS = 8  # characters per wanted token in the first part; a word with its space has about six
_PROBE_CHARS = 1_000  # characters searched for a split point: searching more takes longer than tokenizing
_TRIED_CHARS = (6, 24)  # characters per wanted token that are tried of a text without a split point


class Truncation:
    """Reads the ends of one tokenizer's texts. One calling thread at a time. `ask`: tokenizes a part to int32 ids."""

    def __init__(
        self,
        places: SplitPoints | None,
        openings: EdgeTokens | None,
        words: WordRules | None,
        ask: Callable[[str], bytes],
    ) -> None:
        self._places, self._openings, self._words, self._ask = places, openings, words, ask

    def first(self, text: str, enough: int) -> bytes:
        """The first `enough` int32 ids of `text`, or more; all if it has fewer."""
        found: list[bytes] = []
        start, left, size = 0, enough, enough * PART_CHARS
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

    def last(self, text: str, enough: int) -> bytes:
        """The last `enough` int32 ids of `text`, or more; all if it has fewer."""
        found: list[bytes] = []
        end, left, size = len(text), enough, enough * PART_CHARS
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

    def _place(self, text: str, start: int) -> int | None:
        """A split point shortly after `start`, or the text's end if that is near; None without any."""
        if start + _PROBE_CHARS >= len(text):
            return len(text)
        return None if self._places is None else self._places.first(text, start, start + _PROBE_CHARS)

    def _place_before(self, text: str, stop: int) -> int | None:
        """A split point shortly before `stop`, or 0 if the text's start is near; None without any."""
        if stop <= _PROBE_CHARS:
            return 0
        return None if self._places is None else self._places.first(text, stop - _PROBE_CHARS, stop)

    def _far(self, text: str, start: int, size: int) -> tuple[int, int]:
        """The next split point, searched at doubling distances from `start`, and the last distance."""
        while (end := self._place(text, start + size)) is None:
            size *= 2
        return end, size

    def _far_before(self, text: str, end: int, size: int) -> tuple[int, int]:
        """As `_far`, to the left of `end`."""
        while (start := self._place_before(text, end - size)) is None:
            size *= 2
        return start, size

    def _read(self, part: str, max_words: int | None) -> bytes:
        """The ids of `part`, or of at least its first `max_words` words."""
        ids = None if self._words is None else self._words.ids(part, max_words)
        return self._ask(part) if ids is None else ids

    def _tried(self, text: str, left: int, *, from_start: bool) -> bytes | None:
        """At least `left` ids of one end of a text without a near split point; None if the end does not tell them."""
        if self._openings is None:
            return None
        for size in (left * chars for chars in _TRIED_CHARS):
            ids = self._openings.opening(text[:size]) if from_start else self._openings.closing(text[-size:])
            if len(ids) >= left * ID_BYTES:
                return ids
        return None

    def _short(self, part: str) -> str:
        return part if self._places is None else self._places.shortened(part)


def long_chars(enough: int) -> int:
    """Length in characters above which a text is not tokenized whole if `enough` tokens do."""
    return 2 * enough * PART_CHARS


def cut(content: bytes, room: int, keep: Keep) -> bytes:
    """At most `room` ids of `content`, from the ends that `keep` names."""
    limit = room * ID_BYTES
    if len(content) <= limit:
        return content
    if keep is Keep.HEAD:
        return content[:limit]
    head = 0 if keep is Keep.TAIL else room // 4 * ID_BYTES
    return content[:head] + content[len(content) - (limit - head) :]


def longest_first(lengths: list[int], room: int) -> list[int]:
    """Ids to keep of each content, by the rule of `tokenizers` for `longest_first`."""
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
