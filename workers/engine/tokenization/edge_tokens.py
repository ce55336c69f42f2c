"""The first or last tokens of a text, computed from one end of the text alone, whatever the rest is. No torch.

For texts without a split point (`labelstream.workers.engine.tokenization.split_points`), such as one word of a million
letters. Derived from the source of `tokenizers` 0.23, and tested against tokenizing the whole text.

- Pre-tokenizers split from the left. All pieces of a text's beginning but the last are therefore pieces of the text.
- The first characters of the last piece are known. The token that crosses their end starts at one of the last n known
  characters, where n is the length of the longest token. Up to that start the piece has the same tokens as its
  beginning alone: BPE merges nothing across, and Unigram's best path does not depend on what follows. Cut the
  beginning at each of these n characters: the tokens that all n results share belong to the whole text.
- Metaspace and ByteLevel find the same piece ends from any character on (ByteLevel only away from an apostrophe). All
  pieces of a text's end but the first are therefore pieces of the text, and the end of the first is known. BPE gives
  the end of a piece the same tokens as the whole piece from the first common token start on. Unigram may not: rounding
  of sums, which start at the piece's beginning, decides between equally good paths.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from labelstream.workers.engine.tokenization.special_tokens import int32_bytes
from labelstream.workers.engine.tokenization.split_points import KEEP_KINDS, PLAIN, Parts, spellings_of

_SHORT = 16  # cuts below need no lookup in the vocabulary: nearly all tokens are shorter
_UNSEEN = 4  # characters that ByteLevel's regular expression looks ahead: "'ll", or one behind whitespace
_BYTES = 4  # UTF-8 bytes of a character at most; ByteLevel turns each byte into one character
# Places that no normalizer looks across. No normalizer joins an ASCII character with the one before it, except pairs of
# quotes, runs of whitespace, and \r\n.
_PLAIN = rf"(?<=[\x00-\x7f{PLAIN}])(?=[{PLAIN}])"
_ASCII = r"(?<=[\x00-\x7f])(?=[\x00-\x09\x0b-\x26\x28-\x5f\x61-\x7f])"


class EdgeTokens:
    """The tokens at the ends of one tokenizer's texts. One calling thread at a time.

    `added`: spellings of the added tokens. `tokens`: the model's vocabulary. `unknown`: id of Unigram's unknown token,
    which may stand for any number of characters. `is_bpe`: BPE, else Unigram. `places`: regular expression of places
    that the normalizer does not look across. `lstrip`, `rstrip`: some added token takes the whitespace before it, or
    after it.
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
        """int32 ids with which every text starts that starts with `part`; empty if `part` determines none."""
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
        """int32 ids with which every text ends that ends with `part`; empty if `part` determines none."""
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
        """`known` and `part`, normalized; ("", "") if an added token may overlap `known`. `part` contains `known`."""
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
        """Ids with which every piece starts that starts with `piece`."""
        seen = len(piece)
        cuts = [n for n in range(self._longest) if n < _SHORT or _has_prefix(self._long, piece[seen - n :])]
        common = _common([self._ids([piece[: seen - n]]) for n in cuts]) if seen >= self._longest else []
        while common and common[-1] == self._unknown:
            common.pop()
        return common

    def _ending(self, piece: str) -> list[int]:
        """Ids with which every piece ends that ends with `piece`."""
        if len(piece) < self._longest:
            return []
        cuts = [n for n in range(self._longest) if n < _SHORT or _has_prefix(self._long_reversed, piece[:n][::-1])]
        return _common([self._ids([piece[n:]])[::-1] for n in cuts])[::-1]


def _common(lists: list[list[int]]) -> list[int]:
    """The longest common prefix of `lists`."""
    low, high = min(lists), max(lists)  # all other lists lie between these two, so they share the prefix
    return [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))]


def _has_prefix(texts: list[str], start: str) -> bool:
    """Whether one of the sorted `texts` starts with `start`."""
    place = bisect_left(texts, start)
    return place < len(texts) and texts[place].startswith(start)


def openings_of(tokenizer: Tokenizer, parts: Parts, steps: list[Parts]) -> EdgeTokens | None:
    """The edge tokens of a tokenizer that has word rules; None if their rules do not hold for it.

    `parts`: the tokenizer's JSON. `steps`: the steps of its normalizer.
    """
    model, added = parts["model"], {content for content in spellings_of(tokenizer, parts) if content}
    if model["type"] == "Unigram":
        if not all(map(_keeps_to_plain, steps)):
            return None
        tokens, unknown = {piece for piece, _ in model["vocab"]}, model["unk_id"]
    elif model["type"] == "BPE" and KEEP_KINDS.issuperset(step["type"] for step in steps):
        tokens, unknown = set(model["vocab"]), None
        if model["ignore_merges"] or model["continuing_subword_prefix"] or model["end_of_word_suffix"]:
            return None
        if not set(pre_tokenizers.ByteLevel.alphabet()).issubset(tokens):  # BPE drops a byte without a token
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
    """Whether a step never joins two plain characters. `word_rules` refuses all other kinds of normalizers."""
    return step["type"] != "Replace" or not set(step["pattern"].get("String", "")) - {"'", "`"}
