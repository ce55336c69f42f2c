"""A bounded cache from a whitespace-delimited word to its token ids. No torch.

`word_rules` decides whether the words of a text may be looked up one by one. `WordCache` refuses words that may
contain an added token.
"""

import re
from array import array
from sys import getsizeof
from typing import Any

from tokenizers import Tokenizer

MAX_WORDS = 100_000  # per generation, about 150 bytes each; punctuation beside a word makes another word
MAX_BYTES = 32 * 1024 * 1024  # per generation: a bound for rare characters, of which 64 can take 1,400 bytes each
MAX_WORD_CHARS = 64
_ENTRY_BYTES = 100  # overhead of a dict entry
_ASCII_PIECES = re.compile(r"[0-9A-Za-z]+|[^0-9A-Za-z]")  # splits a printable word at each punctuation sign
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Uncacheable(Exception):
    """A word that the tokenizer may read differently inside its text than alone."""


def has_controls(text: str) -> bool:
    """Whether `text` has a control character other than tab, line feed and carriage return."""
    return _CONTROLS.search(text) is not None


def added_tokens(parts: dict[str, Any], absent: str | None = None) -> tuple[str, ...] | None:
    """The contents of a tokenizer's added tokens; None if one of them contains whitespace.

    Leaves out added tokens that contain `absent`, which the texts never contain.
    """
    contents = [token["content"] for token in parts["added_tokens"]]
    contents = [content for content in contents if absent is None or absent not in content]
    if any(char.isspace() for content in contents for char in content):
        return None
    return tuple(content for content in contents if content)


class WordCache(dict[str, bytes]):
    """word -> its ids as int32 bytes, filled by lookups: `b"".join(map(cache.__getitem__, text.split()))`.

    Two generations, because they cost nothing per hit: a full young generation becomes the old one, and words of the
    old one return at their next use. Holds at most 2 * `max_words` words and 2 * MAX_BYTES. One thread at a time.

    Lookups raise Uncacheable for words that contain one of `added`, ignoring case, and with `ascii_only` for words
    other than ASCII. `before`: put before each word to tokenize it. `by_pieces`: the tokenizer splits ASCII words at
    each punctuation sign.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        added: tuple[str, ...],
        *,
        ascii_only: bool,
        max_words: int = MAX_WORDS,
        before: str = "",
        by_pieces: bool = False,
    ) -> None:
        super().__init__()
        self._tokenizer, self._normalizer = tokenizer, tokenizer.normalizer
        self._added = tuple({spelled for content in added for spelled in (content, content.lower())})
        self._ascii_only, self._before, self._by_pieces = ascii_only, before, by_pieces
        self._max_words = max_words
        self._old: dict[str, bytes] = {}
        self._bytes = 0

    def __missing__(self, word: str) -> bytes:
        ids = self._old.get(word)
        if ids is None:
            ids = self._encode(word)
            if len(word) > MAX_WORD_CHARS:
                return ids
        if len(self) >= self._max_words or self._bytes >= MAX_BYTES:
            self._old = dict(self)
            self.clear()
            self._bytes = 0
        self._bytes += getsizeof(word) + getsizeof(ids) + _ENTRY_BYTES
        self[word] = ids
        return ids

    def _encode(self, word: str) -> bytes:
        is_ascii = word.isascii()
        if self._ascii_only and not is_ascii:
            raise Uncacheable
        normal = word if self._normalizer is None else self._normalizer.normalize_str(word)
        if any(content in spelled for content in self._added for spelled in (word, word.lower(), normal)):
            raise Uncacheable
        if self._by_pieces and is_ascii and not word.isalnum():
            pieces = _ASCII_PIECES.findall(word)
            if len(pieces) > 1:  # "great," and "great." share the entry of "great"
                return b"".join(map(self.__getitem__, pieces))
        return array("i", self._tokenizer.encode(self._before + word, add_special_tokens=False).ids).tobytes()
