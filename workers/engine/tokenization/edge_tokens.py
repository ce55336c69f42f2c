"""What the tokens of a text begin or end with of which only one end is looked at, whatever the rest is. No torch.

For texts without a place to be cut at (`labelstream.workers.engine.tokenization.split_points`), such as one word of a
million letters. Read in `tokenizers` 0.23, and tested against tokenizing the whole.

- Pre-tokenizers split from the left, so that all pieces of a text's beginning but the last are those of the whole text.
- Of the last piece the first characters are known. The token that goes beyond them begins at one of the last n of them,
  where n is the length of the longest token. Up to there the piece has the tokens that its beginning has alone: BPE
  never merged anything across, and Unigram's best path to there does not depend on what follows. So what the beginnings
  up to each of these characters have in common is true of the whole.
- From any character on, Metaspace and ByteLevel find the same ends of pieces, the latter where no apostrophe is near.
  So all pieces of a text's end but the first are the whole text's, and the last characters of that one are known. BPE
  gives these the same tokens as the whole piece, once a token has begun. Unigram may not: paths that are as good as
  each other are told apart by how their sums are rounded, and these begin with the piece.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from labelstream.workers.engine.tokenization.special_tokens import int32_bytes
from labelstream.workers.engine.tokenization.split_points import KEEP_KINDS, PLAIN, Parts, spellings_of

_SHORT = 16  # characters of a token that is not looked up; nearly all have fewer
_UNSEEN = 4  # characters that the expression of ByteLevel looks ahead: "'ll", and the one behind whitespace
_BYTES = 4  # of a character, at most: one of ByteLevel's pieces has as many
# Where no normalizer looks across: none joins a character of ASCII with what is before it, but for quotes in pairs, and
# the whitespace that some make one. \r\n is one character to some.
_PLAIN = rf"(?<=[\x00-\x7f{PLAIN}])(?=[{PLAIN}])"
_ASCII = r"(?<=[\x00-\x7f])(?=[\x00-\x09\x0b-\x26\x28-\x5f\x61-\x7f])"


class EdgeTokens:
    """Of one tokenizer. One calling thread at a time.

    `added`: the spellings of its added tokens. `tokens`: all of its model's. `unknown`: the id of the token that may
    stand for more characters than it has. `is_bpe`: else it is Unigram. `places`: where its normalizer does not look
    across. `lstrip`, `rstrip`: an added token takes the whitespace before it, or behind it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        added: set[str],
        tokens: Iterable[str],
        unknown: int | None,
        is_bpe: bool,
        places: str,
        lstrip: bool,
        rstrip: bool,
    ) -> None:
        self._model: Any = tokenizer.model
        self._splitting: Any = tokenizer.pre_tokenizer
        self._normalizer = tokenizer.normalizer
        self._added, self._unknown, self._is_bpe = added, unknown, is_bpe
        self._lstrip, self._rstrip = lstrip, rstrip
        self._places = re.compile(places)
        self._long = sorted(token for token in tokens if len(token) > _SHORT)
        self._longest = max(map(len, self._long), default=_SHORT)
        self._long_reversed = sorted(token[::-1] for token in self._long)
        self._margin = max((_UNSEEN, *map(len, added)))

    def opening(self, part: str) -> bytes:
        """The int32 ids that every text begins with that begins with `part`, as far as it tells."""
        if self._normalizer is None:
            places = [max(0, len(part) - self._margin)]
        else:
            first = max(1, len(part) - 4 * self._margin - 64)
            places = [found.start() for found in self._places.finditer(part, first, len(part) - self._margin)]
        known, _ = self._normal(part[: max(places, default=0)], part)
        if self._lstrip:
            known = known.rstrip()
        pieces = self._splitting.pre_tokenize_str(known) if known else []
        whole = [piece for piece, (_, end) in pieces[:-1] if end <= len(known) - _UNSEEN]
        ids = self._ids(whole)
        if len(whole) == len(pieces) - 1:
            ids += self._beginning(pieces[-1][0][: -_UNSEEN * _BYTES])
        return int32_bytes(ids)

    def closing(self, part: str) -> bytes:
        """The int32 ids that every text ends with that ends with `part`, as far as it tells."""
        place = self._margin
        if self._normalizer is not None:
            found = self._places.search(part, self._margin, 4 * self._margin + 64)
            place = found.start() if found else len(part)
        known, more = self._normal(part[place:], part)
        before = len(more) - len(known)
        if self._rstrip and (known[:1].isspace() or part[place : place + 1].isspace()):
            return b""
        if not known or (self._is_bpe and "'" in more[before - _UNSEEN : before + _UNSEEN]):
            return b""
        pieces = [piece for piece, _ in self._splitting.pre_tokenize_str(known)]
        return int32_bytes((self._ending(pieces[0]) if self._is_bpe else []) + self._ids(pieces[1:]))

    def _normal(self, known: str, part: str) -> tuple[str, str]:
        """Both, normalized; "" where an added token may lie, begin or end in `known`. `part`: `known` and more."""
        if not known or self._holds_added(part):
            return "", ""
        if self._normalizer is None:
            return known, part
        normal, more = self._normalizer.normalize_str(known), self._normalizer.normalize_str(part)
        return ("", "") if len(more) < len(normal) + self._margin or self._holds_added(more) else (normal, more)

    def _holds_added(self, part: str) -> bool:
        lowered = part.lower()
        return any(content in part or content in lowered for content in self._added)

    def _ids(self, pieces: list[str]) -> list[int]:
        return [token.id for piece in pieces for token in self._model.tokenize(piece)]

    def _beginning(self, piece: str) -> list[int]:
        """What the tokens of every piece begin with that begins with `piece`."""
        seen = len(piece)
        cuts = [n for n in range(self._longest) if n < _SHORT or _has_prefix(self._long, piece[seen - n :])]
        common = _common([self._ids([piece[: seen - n]]) for n in cuts]) if seen >= self._longest else []
        while common and common[-1] == self._unknown:
            common.pop()
        return common

    def _ending(self, piece: str) -> list[int]:
        """What the tokens of every piece end with that ends with `piece`."""
        if len(piece) < self._longest:
            return []
        cuts = [n for n in range(self._longest) if n < _SHORT or _has_prefix(self._long_reversed, piece[:n][::-1])]
        return _common([self._ids([piece[n:]])[::-1] for n in cuts])[::-1]


def _common(lists: list[list[int]]) -> list[int]:
    """What all of them begin with."""
    low, high = min(lists), max(lists)  # what these two begin with, those between them do as well
    return [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))]


def _has_prefix(texts: list[str], start: str) -> bool:
    """Does one of the sorted `texts` begin so?"""
    place = bisect_left(texts, start)
    return place < len(texts) and texts[place].startswith(start)


def openings_of(tokenizer: Tokenizer, parts: Parts, steps: list[Parts]) -> EdgeTokens | None:
    """Of a tokenizer that is read word by word; None where the rules do not hold. `steps`: of its normalizer."""
    model, added = parts["model"], {content for content in spellings_of(tokenizer, parts) if content}
    if model["type"] == "Unigram":
        if not all(map(_keeps_to_plain, steps)):
            return None
        tokens, unknown = {piece for piece, _ in model["vocab"]}, model["unk_id"]
    elif model["type"] == "BPE" and KEEP_KINDS.issuperset(step["type"] for step in steps):
        tokens, unknown = set(model["vocab"]), None
        if model["ignore_merges"] or model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
            return None
        if not set(pre_tokenizers.ByteLevel.alphabet()).issubset(tokens):  # a character without a token leaves a gap
            return None
    else:
        return None
    keeps_whitespace = not any(step["type"] in ("Replace", "Strip") and _is_of_whitespace(step) for step in steps)
    places = f"{_PLAIN}|{_ASCII}" if keeps_whitespace else _PLAIN
    lstrip, rstrip = (any(token[side] for token in parts["added_tokens"]) for side in ("lstrip", "rstrip"))
    return EdgeTokens(tokenizer, added, tokens, unknown, model["type"] == "BPE", places, lstrip, rstrip)


def _is_of_whitespace(step: Parts) -> bool:
    return "Regex" in step.get("pattern", {"Regex": ""})


def _keeps_to_plain(step: Parts) -> bool:
    """Does it never look from one plain character to another? `word_rules` has refused normalizers of other kinds."""
    return step["type"] != "Replace" or not set(step["pattern"].get("String", "")) - {"'", "`"}
