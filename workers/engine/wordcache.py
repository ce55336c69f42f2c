"""A bounded cache from one whitespace-delimited word to its token ids. No torch.

Splitting the text at whitespace and looking its words up is exact only where the tokenizer itself never looks across
whitespace. BERT's does not: its normalizer works on single characters (NFD, which never reorders across whitespace,
included), its pre-tokenizer splits at the same whitespace as `str.split`, and at punctuation, and WordPiece sees one
such piece at a time. Read in `tokenizers`: normalizers/bert.rs and pre_tokenizers/bert.rs. The exceptions are control
characters, which it removes although some of them are whitespace to Python, and added tokens.

`word_cache` says for a tokenizer whether it is such a one, `splits_like_python` for a text whether it has none of those
characters, and `WordCache` refuses every word that may hold an added token.
"""

import json
import re
from array import array
from typing import Any

from tokenizers import Tokenizer

MAX_WORDS = 100_000  # at about 150 bytes each, twice; texts repeat words, but each sign beside a word makes another
MAX_WORD_CHARS = 64
_ASCII_PIECES = re.compile(r"[0-9A-Za-z]+|[^0-9A-Za-z]")  # of a printable word: at each sign of punctuation
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Uncacheable(Exception):
    """A word which the tokenizer might treat in another way inside of its text than alone."""


def splits_like_python(text: str) -> bool:
    """Does BERT's tokenizer split `text` at whitespace where `text.split()` does?"""
    return text.isprintable() or _CONTROLS.search(text) is None


class WordCache(dict[str, bytes]):
    """word -> its ids as int32 bytes, filled by lookups: `b"".join(map(cache.__getitem__, text.split()))`.

    Two generations, because that costs nothing per hit: when the young one is full it becomes the old one, and words
    of the old one that are still in use come back. Holds at most 2 * `max_words` words. One thread at a time.
    Lookups raise Uncacheable for words which contain the text of an added token, in any case of letters, and with
    `ascii_only` for all others than ASCII.
    """

    def __init__(
        self, tokenizer: Tokenizer, added: tuple[str, ...], ascii_only: bool, max_words: int = MAX_WORDS
    ) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._added = tuple({spelled for content in added for spelled in (content, content.lower())})
        self._ascii_only = ascii_only
        self._max_words = max_words
        self._old: dict[str, bytes] = {}

    def __missing__(self, word: str) -> bytes:
        ids = self._old.get(word)
        if ids is None:
            ids = self._encode(word)
            if len(word) > MAX_WORD_CHARS:
                return ids
        if len(self) >= self._max_words:
            self._old = dict(self)
            self.clear()
        self[word] = ids
        return ids

    def _encode(self, word: str) -> bytes:
        is_ascii = word.isascii()
        if self._ascii_only and not is_ascii:
            raise Uncacheable
        lowered = word.lower()
        if any(content in word or content in lowered for content in self._added):
            raise Uncacheable
        if is_ascii and not word.isalnum():
            pieces = _ASCII_PIECES.findall(word)
            if len(pieces) > 1:  # "great," and "great." share what is known of "great"
                return b"".join(map(self.__getitem__, pieces))
        return array("i", self._tokenizer.encode(word, add_special_tokens=False).ids).tobytes()


def word_cache(tokenizer: Tokenizer, max_words: int = MAX_WORDS) -> WordCache | None:
    """A cache for `tokenizer`, or None where splitting at whitespace might change what it answers."""
    parts: dict[str, Any] = json.loads(tokenizer.to_str())
    kinds = [(parts[part] or {}).get("type") for part in ("model", "normalizer", "pre_tokenizer")]
    if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
        return None
    added = [token["content"] for token in parts["added_tokens"]]
    if any(char.isspace() for content in added for char in content):
        return None
    # These are looked for in the normalized text, where accents may be stripped: only of ASCII it is known what it is.
    normalized = [token["content"] for token in parts["added_tokens"] if token["normalized"]]
    if not all(content.isascii() and content.isprintable() for content in normalized):
        return None
    return WordCache(tokenizer, tuple(content for content in added if content), bool(normalized), max_words)
