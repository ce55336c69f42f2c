"""Split points: places where a text may be cut so that its parts have the tokens of the whole text. No torch.

Derived from the source of `tokenizers` 0.23; each rule is tested against tokenizing the whole text. A split point lies
between two characters. No added token, normalizer or pre-tokenizer spans the two:

- before a space behind a letter, digit or sign, for every tokenizer that has word rules (`word_rules`): the normalizers
  there work on single characters, or on a character and its combining marks, and a space is no combining mark;
- WordPiece with BERT's pre-tokenizer: also other whitespace, both sides of ASCII punctuation, between two other
  punctuation signs, and between two Chinese characters, each of which that pre-tokenizer makes a piece of its own;
- ByteLevel: also other whitespace, and between ASCII letters, digits and signs, because no alternative of its regular
  expression matches two of these kinds, except the apostrophe of "'s";
- before an added token that is matched in the raw text, behind a character other than whitespace: the tokenizer splits
  the text there first.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tokenizers import Tokenizer

Parts = dict[str, Any]

# Characters that no normalizer of `word_rules` joins with another of them before it, or turns into a space.
PLAIN = (
    r"!-&(-_a-~\u00c0-\u024f\u0388-\u03ce\u0400-\u0481\u048a-\u052f\u05d0-\u05ea\u0620-\u063f\u0641-\u064a"
    r"\u3041-\u3096\u30a1-\u30fa\u3400-\u4db5\u4e00-\u9fd5\uac00-\ud7a3\ufb50-\ufbb1\ufbd3-\ufd3d\ufdf0-\ufdfb"
    r"\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\U0001f600-\U0001f64f"
)
_ANY_SPACE = r"(?<=[!-~\w])(?=[ \t\n\r])"
_SIGNS = r"!-/:-@\[-`{-~"  # ASCII punctuation
_OTHER_SIGNS = r"\u2010-\u2027\u3001-\u3003\u3008-\u3011\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f"
_CHINESE = r"\u4e00-\u9fd5"
_PIECES = (
    rf"(?<=[{_SIGNS}])(?=[!-~])|(?<=[0-9A-Za-z])(?=[{_SIGNS}])|(?<=[{_OTHER_SIGNS}])(?=[{_OTHER_SIGNS}])"
    rf"|(?<=[{_CHINESE}])(?=[{_CHINESE}])"
)
_KINDS = rf"(?<=[A-Za-z])(?=[0-9{_SIGNS}])|(?<=[0-9])(?=[A-Za-z{_SIGNS}])|(?<=[!-&(-/:-@\[-`{{-~])(?=[0-9A-Za-z])"
# Normalizers that keep ASCII signs, digits, letters and whitespace in their kind.
KEEP_KINDS = frozenset(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))

# WordPiece makes one unknown token of any word longer than `max_input_chars_per_word`, and no token of control
# characters and whitespace.
_LETTERS = r"0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0410-\u044f\uac00-\ud7a3"
_WORD_RUN = re.compile(rf"[{_LETTERS}]{{256,}}")
_EMPTY_RUNS = (re.compile(r"[\x01-\x08\x0e-\x1b\x7f]{64,}"), re.compile(r"[ \t\n\r]{64,}"))
_START_OF_RUN, _END_OF_RUN = 128, 64  # characters that `shortened` keeps of a long word


class SplitPoints(NamedTuple):
    """`pattern`: matches the empty text at possible split points. `across`: pairs of neighboring characters in added
    tokens. `behind`: last characters of added tokens that take the whitespace after them.

    `shortened`: returns a shorter part with the same tokens, or the part itself.
    """

    pattern: re.Pattern[str]
    across: frozenset[str]
    behind: frozenset[str]
    shortened: Callable[[str], str]

    def first(self, text: str, start: int, stop: int) -> int | None:
        """The first split point from `start` on and before `stop`, never 0; None without any."""
        for found in self.pattern.finditer(text, max(1, start), stop):
            if self._holds(text, found.start()):
                return found.start()
        return None

    def _holds(self, text: str, place: int) -> bool:
        pair = text[place - 1 : place + 1]
        if pair in self.across or pair.lower() in self.across:
            return False
        return not self.behind or (pair.isascii() and pair[0].lower() not in self.behind)


def places_of(tokenizer: Tokenizer, parts: Parts, normalizers: list[str]) -> SplitPoints | None:
    """The split points of a tokenizer that has word rules; None if an added token may span them.

    `parts`: the tokenizer's JSON. `normalizers`: the types of its normalizer's steps.
    """
    added, spellings = parts["added_tokens"], spellings_of(tokenizer, parts)
    if tokenizer.normalizer is not None and any(
        token["normalized"] and not token["content"].isascii() for token in added
    ):
        return None
    if any(char.isspace() for content in spellings if not content.isspace() for char in content):
        return None
    takes_whitespace = any(token["rstrip"] for token in added)
    return SplitPoints(
        re.compile("|".join((*_kinds(parts, normalizers), *_before(added)))),
        frozenset(content[i : i + 2] for content in spellings for i in range(len(content) - 1)),
        frozenset(content[-1] for content in spellings if content and takes_whitespace),
        _shortened(parts, spellings),
    )


def spellings_of(tokenizer: Tokenizer, parts: Parts) -> set[str]:
    """The added tokens as a raw or normalized text may contain them, and the same in lower case."""
    spellings: set[str] = {token["content"] for token in parts["added_tokens"]}
    if tokenizer.normalizer is not None:
        spellings |= set(map(tokenizer.normalizer.normalize_str, spellings))
    return spellings | {content.lower() for content in spellings}


def _kinds(parts: Parts, normalizers: list[str]) -> list[str]:
    """Regular expressions of the split points, without those before added tokens."""
    single_words = any(token["single_word"] for token in parts["added_tokens"])  # match only beside non-word characters
    kind = parts["model"]["type"]
    if kind == "WordPiece":
        apart = parts["normalizer"]["handle_chinese_chars"] and not single_words
        return [_ANY_SPACE, _PIECES] if apart else [_ANY_SPACE]
    if kind == "BPE" and KEEP_KINDS.issuperset(normalizers) and not parts["pre_tokenizer"]["add_prefix_space"]:
        return [_ANY_SPACE] if single_words else [_ANY_SPACE, _KINDS]
    # Strip removes all whitespace at the ends of a part, so a part must not start with more than that space.
    return [rf"(?<=[{PLAIN}])(?= [{PLAIN}])" if "Strip" in normalizers else rf"(?<=[{PLAIN}])(?= )"]


def _before(added: list[Parts]) -> list[str]:
    raw = [
        re.escape(token["content"])
        for token in added
        if token["content"].strip() and not token["normalized"] and not token["single_word"]
    ]
    return [rf"(?<=\S)(?={'|'.join(raw)})"] if raw else []


def _shortened(parts: Parts, spellings: set[str]) -> Callable[[str], str]:
    """`SplitPoints.shortened`. Shortening must neither remove nor create an added token, of the given `spellings`."""
    model, normalizer = parts["model"], parts["normalizer"]
    if model["type"] != "WordPiece" or not normalizer["clean_text"]:
        return _as_it_is
    if model["max_input_chars_per_word"] >= _START_OF_RUN or any(
        content.isalnum() or len(content) > _END_OF_RUN for content in spellings
    ):
        return _as_it_is
    return _shorter


def _shorter(part: str) -> str:
    for runs in _EMPTY_RUNS:
        part = runs.sub(lambda run: run[0][0], part)
    return _WORD_RUN.sub(lambda run: run[0][:_START_OF_RUN] + run[0][-_END_OF_RUN:], part)


def _as_it_is(part: str) -> str:
    return part
