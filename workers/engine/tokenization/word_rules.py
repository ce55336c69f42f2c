"""Which tokenizers look at a text word by word, so that words' ids may be kept, and which texts they read so. No torch.

Splitting a text and looking its words up is exact only where the tokenizer itself never looks across the split. Read in
`tokenizers` 0.23; each rule is tested against the tokenizer itself. What a rule does not cover is tokenized as ever.

- WordPiece behind BERT's normalizer and pre-tokenizer (BERT, DistilBERT, ELECTRA, MPNet): normalizers/bert.rs works on
  single characters (NFD, which never reorders across whitespace, included), pre_tokenizers/bert.rs splits at the same
  whitespace as `str.split`, and at punctuation, and WordPiece sees one such piece at a time. The exceptions are control
  characters, which it removes although some of them are whitespace to Python.
- BPE behind ByteLevel (RoBERTa, ModernBERT): the expression of pre_tokenizers/byte_level.rs never matches a sign and a
  space behind it, and takes a single space along with what follows. So a printable text, in which the space is the only
  whitespace, with single spaces between words, is its first word, and each other one with its space.
- Unigram behind Metaspace (XLM-R, ALBERT, DeBERTa-v2): pieces begin at the spaces, and the first one is given a space
  as well. Before that come normalizers that may join characters: texts other than ASCII are not read by words.
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
# They change nothing where all whitespace is single spaces.
_WHITESPACE_PATTERNS = (r"\s{2,}|[\n\r\t]", " {2,}", r"\s+")
_CHARACTER_NORMALIZERS = ("Precompiled", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "Lowercase", "Strip")

Parts = dict[str, Any]


class WordRules(Protocol):
    """The words of one tokenizer. One calling thread at a time."""

    def ids(self, text: str, most: int | None = None) -> bytes | None:
        """The int32 ids of `text` without special tokens, of its first `most` words or more.

        None: it is not read word by word, so ask the tokenizer.
        """
        ...


class BertWordRules:
    """Satisfies `WordRules`: WordPiece's."""

    def __init__(self, cache: WordCache) -> None:
        self._cache = cache

    def ids(self, text: str, most: int | None = None) -> bytes | None:
        """See `WordRules.ids`."""
        if not text.isprintable() and has_controls(text):
            return None
        ids = self._cache.__getitem__
        try:
            if most is not None and len(text) > most * _LONG_TEXT_CHARS_PER_WORD:
                found = b"".join(map(ids, text.split(None, most)[:most]))
                if len(found) >= most * ID_BYTES:  # else there are words without any id: accents that are stripped
                    return found
            return b"".join(map(ids, text.split()))
        except Uncacheable:
            return None


class SpacedWordRules:
    """Satisfies `WordRules`: words between single spaces. `first`: of the first; `others`: of one behind a space."""

    def __init__(self, first: WordCache, others: WordCache, ascii_only: bool) -> None:
        self._first, self._others, self._ascii_only = first, others, ascii_only

    def ids(self, text: str, most: int | None = None) -> bytes | None:
        """See `WordRules.ids`."""
        if (self._ascii_only and not text.isascii()) or not text.isprintable() or "  " in text:
            return None
        if most is not None and len(text) > most * _LONG_TEXT_CHARS_PER_WORD:
            words = text.split(" ", most)[:most]  # each has an id at least
        else:
            words = text.split(" ")
        if not words[0] or not words[-1]:  # a space at either end, or nothing at all
            return None
        try:
            first = self._first[words[0]]
            return b"".join((first, *map(self._others.__getitem__, words[1:])))
        except Uncacheable:
            return None


def words_of(tokenizer: Tokenizer, max_words: int = MAX_WORDS, parts: Parts | None = None) -> WordRules | None:
    """The words of `tokenizer`, of which two times `max_words` are kept; None where it may look across them.

    `parts`: its JSON, where that is there already.
    """
    if parts is None:
        parts = json.loads(tokenizer.to_str())
    assert parts is not None
    rule = _RULES.get((parts["model"].get("type"), _kind(parts["pre_tokenizer"])))
    return None if rule is None else rule(tokenizer, parts, max_words)


def _kind(pre_tokenizer: Parts | None) -> str:
    """The type of the one that splits; "" where there are others than whitespace's before it."""
    steps = steps_of(pre_tokenizer, "pretokenizers")
    if steps and steps[0]["type"] == "WhitespaceSplit":
        steps = steps[1:]
    return steps[0]["type"] if len(steps) == 1 else ""


def steps_of(part: Parts | None, name: str) -> list[Parts]:
    """The steps of a normalizer or a pre-tokenizer, those within sequences named `name` as well."""
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
    # These are looked for in the normalized text, where accents may be stripped: only of ASCII it is known what it is.
    normalized = [token["content"] for token in parts["added_tokens"] if token["normalized"]]
    if not all(content.isascii() and content.isprintable() for content in normalized):
        return None
    return BertWordRules(WordCache(tokenizer, added, ascii_only=bool(normalized), max_words=max_words, by_pieces=True))


def _byte_level(tokenizer: Tokenizer, parts: Parts, max_words: int) -> WordRules | None:
    normalizers = steps_of(parts["normalizer"], "normalizers")
    splitting = parts["pre_tokenizer"]
    if parts["model"].get("dropout") or splitting.get("type") != "ByteLevel" or not splitting["use_regex"]:
        return None
    if any(step["type"] == "Strip" for step in normalizers):  # the space before a word is a part of its first token
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
    """`before`: what makes of a word alone one that stands behind a space."""
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
    """Does it leave ASCII words words, whatever stands beside them?"""
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
