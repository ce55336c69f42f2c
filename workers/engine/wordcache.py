"""A bounded cache from one whitespace-delimited word to its token ids. No torch.

Splitting the text at whitespace and looking its words up is exact only where the tokenizer itself never looks across
whitespace, which holds for BERT's WordPiece on printable ASCII. `word_cache` says for a tokenizer whether it does, and
`WordCache` refuses every word for which it does not.
"""

import json
from array import array
from typing import Any

from tokenizers import Tokenizer

MAX_WORDS = 50_000
MAX_WORD_CHARS = 64


class Uncacheable(Exception):
    """A word which the tokenizer might treat in another way inside of its text than alone."""


class WordCache(dict[str, bytes]):
    """word -> its ids as int32 bytes, filled by lookups: `b"".join(map(cache.__getitem__, text.split()))`.

    Two generations, because that costs nothing per hit: when the young one is full it becomes the old one, and words
    of the old one that are still in use come back. Holds at most 2 * `max_words` words. One thread at a time.
    Lookups raise Uncacheable for words which contain the text of an added token, in any case of letters.
    """

    def __init__(self, tokenizer: Tokenizer, added: tuple[str, ...], max_words: int = MAX_WORDS) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._added = tuple(content.lower() for content in added)
        self._max_words = max_words
        self._old: dict[str, bytes] = {}

    def __missing__(self, word: str) -> bytes:
        ids = self._old.get(word)
        if ids is None:
            lowered = word.lower()
            if any(content in lowered for content in self._added):
                raise Uncacheable
            ids = array("i", self._tokenizer.encode(word, add_special_tokens=False).ids).tobytes()
            if len(word) > MAX_WORD_CHARS:
                return ids
        if len(self) >= self._max_words:
            self._old = dict(self)
            self.clear()
        self[word] = ids
        return ids


def word_cache(tokenizer: Tokenizer, max_words: int = MAX_WORDS) -> WordCache | None:
    """A cache for `tokenizer`, or None where splitting at whitespace might change what it answers."""
    parts: dict[str, Any] = json.loads(tokenizer.to_str())
    kinds = [(parts[part] or {}).get("type") for part in ("model", "normalizer", "pre_tokenizer")]
    if kinds != ["WordPiece", "BertNormalizer", "BertPreTokenizer"]:
        return None
    added: list[str] = []
    for token in parts["added_tokens"]:
        content = token["content"]
        if any(char.isspace() for char in content):
            return None
        if content.isascii() and content.isprintable():
            added.append(content)
        elif token["normalized"]:
            return None  # the normalizer may turn it into ASCII: an accent stripped, a control character removed
    # What is left, not ASCII or not printable and matched as it stands, cannot occur in a text that comes here.
    return WordCache(tokenizer, tuple(content for content in added if content), max_words)
