"""Places where a text may be cut: its parts, tokenized each by itself, give the tokens of the whole. No torch.

Read in `tokenizers` 0.23; each rule is tested against tokenizing the whole. A place lies between two characters. No
added token lies across it, and neither normalizer nor pre-tokenizer looks across it:

- a space behind a letter, a digit or a sign, for every tokenizer that
`labelstream.workers.engine.tokenization.word_rules` reads word by word: the
  normalizers there work on single characters, or on a character and the marks behind it, and a space is no mark;
- for WordPiece behind BERT's pre-tokenizer also other whitespace, both sides of ASCII punctuation, between two signs of
  other punctuation, and between two Chinese characters: that pre-tokenizer makes each of them a piece of its own;
- for ByteLevel also other whitespace, and between letters, digits and signs of ASCII: no alternative of its expression
  matches two of these kinds, but for the apostrophe of "'s";
- before an added token of the raw text, behind a character that is no whitespace: the text is split there first.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tokenizers import Tokenizer

Parts = dict[str, Any]

# Characters that no normalizer of `word_rules` joins with one of them before it, nor makes a space of.
PLAIN = (
    r"!-&(-_a-~\u00c0-\u024f\u0388-\u03ce\u0400-\u0481\u048a-\u052f\u05d0-\u05ea\u0620-\u063f\u0641-\u064a"
    r"\u3041-\u3096\u30a1-\u30fa\u3400-\u4db5\u4e00-\u9fd5\uac00-\ud7a3\ufb50-\ufbb1\ufbd3-\ufd3d\ufdf0-\ufdfb"
    r"\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\U0001f600-\U0001f64f"
)
_ANY_SPACE = r"(?<=[!-~\w])(?=[ \t\n\r])"
_SIGNS = r"!-/:-@\[-`{-~"  # of ASCII
_OTHER_SIGNS = r"\u2010-\u2027\u3001-\u3003\u3008-\u3011\uff01-\uff03\uff05-\uff0a\uff0c-\uff0f"
_CHINESE = r"\u4e00-\u9fd5"
_PIECES = (
    rf"(?<=[{_SIGNS}])(?=[!-~])|(?<=[0-9A-Za-z])(?=[{_SIGNS}])|(?<=[{_OTHER_SIGNS}])(?=[{_OTHER_SIGNS}])"
    rf"|(?<=[{_CHINESE}])(?=[{_CHINESE}])"
)
_KINDS = rf"(?<=[A-Za-z])(?=[0-9{_SIGNS}])|(?<=[0-9])(?=[A-Za-z{_SIGNS}])|(?<=[!-&(-/:-@\[-`{{-~])(?=[0-9A-Za-z])"
# Normalizers that leave ASCII signs, digits, letters and whitespace what they are.
KEEP_KINDS = frozenset(("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))

# WordPiece gives one unknown token for a word of more than `max_input_chars_per_word`, however many more. It gives none
# for control characters and whitespace.
_LETTERS = r"0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0410-\u044f\uac00-\ud7a3"
_WORD_RUN = re.compile(rf"[{_LETTERS}]{{256,}}")
_EMPTY_RUNS = (re.compile(r"[\x01-\x08\x0e-\x1b\x7f]{64,}"), re.compile(r"[ \t\n\r]{64,}"))
_START_OF_RUN, _END_OF_RUN = 128, 64  # characters that are kept of a word


class SplitPoints(NamedTuple):
    """`pattern`: matches nothing, where a place may be. `across`: pairs of characters that stand side by side in an
    added token. `behind`: the last characters of added tokens that take the whitespace behind them.

    `shortened`: a part -> a shorter one with the same tokens, or the part itself.
    """

    pattern: re.Pattern[str]
    across: frozenset[str]
    behind: frozenset[str]
    shortened: Callable[[str], str]

    def first(self, text: str, start: int, stop: int) -> int | None:
        """The first place at `start` or behind it and before `stop`; never 0."""
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
    """The places of a tokenizer that is read word by word; None where an added token may lie across them.

    `parts`: its JSON. `normalizers`: the types of its normalizer's steps.
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
    """How the added tokens may look in a text, in its normal form, and in either of them in lower case."""
    spellings: set[str] = {token["content"] for token in parts["added_tokens"]}
    if tokenizer.normalizer is not None:
        spellings |= set(map(tokenizer.normalizer.normalize_str, spellings))
    return spellings | {content.lower() for content in spellings}


def _kinds(parts: Parts, normalizers: list[str]) -> list[str]:
    """The expressions of the places, but for those before added tokens."""
    single_words = any(token["single_word"] for token in parts["added_tokens"])  # these look at what is beside them
    kind = parts["model"]["type"]
    if kind == "WordPiece":
        apart = parts["normalizer"]["handle_chinese_chars"] and not single_words
        return [_ANY_SPACE, _PIECES] if apart else [_ANY_SPACE]
    if kind == "BPE" and KEEP_KINDS.issuperset(normalizers) and not parts["pre_tokenizer"]["add_prefix_space"]:
        return [_ANY_SPACE] if single_words else [_ANY_SPACE, _KINDS]
    # Strip takes all whitespace at the ends of what it is given, and not that space alone.
    return [rf"(?<=[{PLAIN}])(?= [{PLAIN}])" if "Strip" in normalizers else rf"(?<=[{PLAIN}])(?= )"]


def _before(added: list[Parts]) -> list[str]:
    raw = [
        re.escape(token["content"])
        for token in added
        if token["content"].strip() and not token["normalized"] and not token["single_word"]
    ]
    return [rf"(?<=\S)(?={'|'.join(raw)})"] if raw else []


def _shortened(parts: Parts, spellings: set[str]) -> Callable[[str], str]:
    """`spellings`: of the added tokens; none of them may lie in what is left out, or come about."""
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
