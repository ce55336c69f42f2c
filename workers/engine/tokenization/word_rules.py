"""Word rules: which tokenizers and texts can be tokenized word by word, so that a cache can keep words' ids. No torch.

Looking words up one by one is exact only if the tokenizer never looks across words. The rules are derived from the
source of `tokenizers` 0.23, and each is tested against the tokenizer. All other texts go through the tokenizer.

- WordPiece with BERT's normalizer and pre-tokenizer (BERT, DistilBERT, ELECTRA, MPNet): normalizers/bert.rs works on
  single characters (NFD never reorders across whitespace). pre_tokenizers/bert.rs splits at the whitespace of
  `str.split` and at punctuation, and WordPiece reads one piece at a time. Exception: the normalizer removes control
  characters, some of which `str.split` takes for whitespace.
- BPE with ByteLevel (RoBERTa, ModernBERT): the regular expression of pre_tokenizers/byte_level.rs never matches a
  character and a space behind it; a single space belongs to the next piece. A printable text with single spaces is
  therefore its first word, and every other word with the space before it.
- Unigram with Metaspace (XLM-R, ALBERT, DeBERTa-v2): pieces start at spaces, and the first piece gets a space as well.
  Its normalizers may join characters, so only ASCII texts are read by words.
"""

import json
from collections.abc import Callable
from typing import Any, Protocol

from tokenizers import Tokenizer

from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.word_cache import (
    MAX_WORDS,
    Uncacheable,
    WordCache,
    added_tokens,
    has_controls,
)

_LONG_TEXT_CHARS_PER_WORD = 8
_PRINTABLE_ASCII = tuple(map(chr, range(0x21, 0x7F)))
# Regular expressions of Replace steps that change nothing in a text with single spaces.
_WHITESPACE_PATTERNS = (r"\s{2,}|[\n\r\t]", " {2,}", r"\s+")
_CHARACTER_NORMALIZERS = ("Precompiled", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "Lowercase", "Strip")

Parts = dict[str, Any]


class WordRules(Protocol):
    """Tokenizes by looking up words. One calling thread at a time."""

    def ids(self, text: str, max_words: int | None = None) -> bytes | None:
        """int32 ids of `text`, or of at least its first `max_words` words, without special tokens.

        None: the text cannot be read word by word; ask the tokenizer.
        """
        ...


class BertWordRules:
    """The `WordRules` of WordPiece."""

    def __init__(self, cache: WordCache) -> None:
        self._cache = cache

    def ids(self, text: str, max_words: int | None = None) -> bytes | None:
        """See `WordRules.ids`."""
        if not text.isprintable() and has_controls(text):
            return None
        ids = self._cache.__getitem__
        try:
            if max_words is not None and len(text) > max_words * _LONG_TEXT_CHARS_PER_WORD:
                found = b"".join(map(ids, text.split(None, max_words)[:max_words]))
                if len(found) >= max_words * ID_BYTES:  # a word of stripped accents has no id: then read all words
                    return found
            return b"".join(map(ids, text.split()))
        except Uncacheable:
            return None


class SpacedWordRules:
    """`WordRules` of words with single spaces. `first`: the first word's ids; `others`: ids of words behind a space."""

    def __init__(self, first: WordCache, others: WordCache, ascii_only: bool) -> None:
        self._first, self._others, self._ascii_only = first, others, ascii_only

    def ids(self, text: str, max_words: int | None = None) -> bytes | None:
        """See `WordRules.ids`."""
        if (self._ascii_only and not text.isascii()) or not text.isprintable() or "  " in text:
            return None
        if max_words is not None and len(text) > max_words * _LONG_TEXT_CHARS_PER_WORD:
            words = text.split(" ", max_words)[:max_words]  # each word has at least one id
        else:
            words = text.split(" ")
        if not words[0] or not words[-1]:  # a space at an end, or an empty text
            return None
        try:
            first = self._first[words[0]]
            return b"".join((first, *map(self._others.__getitem__, words[1:])))
        except Uncacheable:
            return None


def words_of(tokenizer: Tokenizer, max_words: int = MAX_WORDS, parts: Parts | None = None) -> WordRules | None:
    """The word rules of `tokenizer`, with a cache of 2 * `max_words` words; None if it may look across words.

    `parts`: the tokenizer's JSON, if the caller has it.
    """
    if parts is None:
        parts = json.loads(tokenizer.to_str())
    assert parts is not None
    rule = _RULES.get((parts["model"].get("type"), _kind(parts["pre_tokenizer"])))
    return None if rule is None else rule(tokenizer, parts, max_words)


def _kind(pre_tokenizer: Parts | None) -> str:
    """The type of a pre-tokenizer of one step, apart from WhitespaceSplit before it; "" for any other."""
    steps = steps_of(pre_tokenizer, "pretokenizers")
    if steps and steps[0]["type"] == "WhitespaceSplit":
        steps = steps[1:]
    return steps[0]["type"] if len(steps) == 1 else ""


def steps_of(part: Parts | None, name: str) -> list[Parts]:
    """The steps of a normalizer or a pre-tokenizer, with nested sequences flattened. `name`: the sequences' key."""
    if part is None:
        return []
    return [step for one in part[name] for step in steps_of(one, name)] if part["type"] == "Sequence" else [part]


def _wordpiece(tokenizer: Tokenizer, parts: Parts, max_words: int) -> WordRules | None:
    if [step["type"] for step in steps_of(parts["normalizer"], "normalizers")] != ["BertNormalizer"]:
        return None
    if parts["pre_tokenizer"]["type"] != "BertPreTokenizer":
        return None
    added = added_tokens(parts)
    if added is None:
        return None
    # Normalized added tokens are matched after accents are stripped; only ASCII is sure to stay as it is.
    normalized = [token["content"] for token in parts["added_tokens"] if token["normalized"]]
    if not all(content.isascii() and content.isprintable() for content in normalized):
        return None
    return BertWordRules(WordCache(tokenizer, added, ascii_only=bool(normalized), max_words=max_words, by_pieces=True))


def _byte_level(tokenizer: Tokenizer, parts: Parts, max_words: int) -> WordRules | None:
    normalizers = steps_of(parts["normalizer"], "normalizers")
    splitting = parts["pre_tokenizer"]
    if parts["model"].get("dropout") or splitting.get("type") != "ByteLevel" or not splitting["use_regex"]:
        return None
    if any(step["type"] == "Strip" for step in normalizers):  # would remove the space that `before` puts before a word
        return None
    return _spaced(tokenizer, parts, normalizers, max_words, " ")


def _unigram(tokenizer: Tokenizer, parts: Parts, max_words: int) -> WordRules | None:
    splitting = steps_of(parts["pre_tokenizer"], "pretokenizers")[-1]
    if splitting["prepend_scheme"] != "always" or not splitting["split"]:
        return None
    return _spaced(tokenizer, parts, steps_of(parts["normalizer"], "normalizers"), max_words, "")


def _spaced(
    tokenizer: Tokenizer, parts: Parts, normalizers: list[Parts], max_words: int, before: str
) -> WordRules | None:
    """The rules of words with single spaces. `before`: text before a word that makes it a word behind a space."""
    added = added_tokens(parts, absent="  ")
    if added is None or not all(map(_keeps_words, normalizers)):
        return None
    normal = tokenizer.normalizer
    if normal is not None:
        if any(not _is_a_word(normal.normalize_str(char)) for char in _PRINTABLE_ASCII):
            return None
        added = (*added, *map(normal.normalize_str, added))
    ascii_only = parts["model"]["type"] == "Unigram" or normal is not None
    others = WordCache(tokenizer, added, ascii_only=ascii_only, max_words=max_words, before=before)
    first = WordCache(tokenizer, added, ascii_only=ascii_only, max_words=max_words) if before else others
    return SpacedWordRules(first, others, ascii_only)


def _keeps_words(step: Parts) -> bool:
    """Whether a normalizer step turns each ASCII word into one word, whatever the words beside it."""
    if step["type"] == "Replace":
        pattern = step["pattern"]
        if "Regex" in pattern:
            return pattern["Regex"] in _WHITESPACE_PATTERNS and step["content"] == " "
        return _is_a_word(pattern["String"]) and _is_a_word(step["content"])
    return step["type"] in _CHARACTER_NORMALIZERS


def _is_a_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text) and " " not in text


_RULES: dict[tuple[str, str], Callable[[Tokenizer, Parts, int], WordRules | None]] = {
    ("WordPiece", "BertPreTokenizer"): _wordpiece,
    ("BPE", "ByteLevel"): _byte_level,
    ("Unigram", "Metaspace"): _unigram,
}
