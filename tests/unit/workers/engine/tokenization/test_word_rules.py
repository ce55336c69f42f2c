"""The tokenizers and texts that are read word by word, always exactly."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from labelstream.workers.engine.tokenization.special_tokens import int32_bytes
from labelstream.workers.engine.tokenization.word_rules import words_of
from tests.support.models import make_tokenizer
from tests.support.unicode_texts import MANY_SCRIPTS

METASPACE = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
Change = Callable[[Tokenizer], Any]


def made(family: str, change: Change) -> Tokenizer:
    tokenizer = Tokenizer.from_str(make_tokenizer(family).backend_tokenizer.to_str())
    tokenizer.no_truncation()
    change(tokenizer)
    return tokenizer


def normalizer(*steps: Any) -> Change:
    return lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Sequence(list(steps)))


def without_normalizer(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = None


def splitting(*steps: Any) -> Change:
    how = steps[0] if len(steps) == 1 else pre_tokenizers.Sequence(list(steps))
    return lambda tokenizer: setattr(tokenizer, "pre_tokenizer", how)


def model(**settings: Any) -> Change:
    def change(tokenizer: Tokenizer) -> None:
        for name, value in settings.items():
            setattr(tokenizer.model, name, value)

    return change


def added(content: str, **how: Any) -> Change:
    return lambda tokenizer: tokenizer.add_tokens([AddedToken(content, **how)])


EXACT: dict[str, tuple[str, Change]] = {
    "roberta, a space first": ("roberta", splitting(pre_tokenizers.ByteLevel(add_prefix_space=True))),
    "bpe behind NFC": ("roberta", normalizer(normalizers.NFC())),
    "lower case": ("roberta", normalizer(normalizers.Lowercase(), normalizers.StripAccents())),
    "runs of spaces added": ("roberta", added("  ", normalized=True)),
    "a word added": ("roberta", added("bad", single_word=True)),
    "metaspace alone": ("xlm-roberta", splitting(METASPACE)),
    "metaspace in a sequence": ("albert", splitting(pre_tokenizers.Sequence([METASPACE]))),
    "whitespace is made one": (
        "xlm-roberta",
        normalizer(normalizers.Replace(Regex(" {2,}"), " "), normalizers.NFKC(), normalizers.Strip()),
    ),
    "added behind the normalizer": ("albert", added('"x', normalized=True)),
    "a word is replaced": ("deberta-v2", normalizer(normalizers.Replace("bad", "good"))),
    "line feeds are made spaces": (
        "xlm-roberta",
        normalizer(normalizers.Nmt(), normalizers.Replace(Regex(" {2,}"), " ")),
    ),
    "nested": ("albert", normalizer(normalizers.Sequence([normalizers.Lowercase()]), normalizers.NFD())),
}


@cache
def tokenizer_of(name: str) -> tuple[Tokenizer, Any]:
    tokenizer = made(*EXACT[name])
    return tokenizer, words_of(tokenizer)


@pytest.mark.parametrize("name", EXACT)
@given(texts=st.lists(MANY_SCRIPTS, min_size=1, max_size=4))
@example(texts=["not bad at all", "good good", "GOOD Bad bad", "``x ''x \"x x\"x", "bad.bad abad", "a  b", " a", "b "])
@example(texts=["a \nb", "a\n b", "\n a", "a\tb"])
@settings(max_examples=25, deadline=None, derandomize=True)
def test_word_rules_equal_the_tokenizer(name: str, texts: list[str]) -> None:
    tokenizer, words = tokenizer_of(name)
    for text in texts:
        expected = int32_bytes(tokenizer.encode(text, add_special_tokens=False).ids)
        assert words.ids(text) in (expected, None), text
    assert words.ids("not very good at all") is not None


def test_text_with_an_added_token_is_not_read_by_words() -> None:
    for name, text in (("added behind the normalizer", "a ``x"), ("a word added", "not bad"), ("a word added", "bad")):
        assert tokenizer_of(name)[1].ids(text) is None


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("roberta", model(dropout=0.1)),
        ("roberta", splitting(pre_tokenizers.ByteLevel(use_regex=False))),
        ("roberta", splitting(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel())),
        ("roberta", splitting(pre_tokenizers.Digits(), pre_tokenizers.ByteLevel())),
        ("roberta", normalizer(normalizers.Prepend("x"))),
        ("roberta", normalizer(normalizers.Strip())),
        ("roberta", normalizer(normalizers.Replace("y", ""))),
        ("roberta", normalizer(normalizers.Replace("y", " "))),
        ("roberta", normalizer(normalizers.Replace("\t", "x"))),
        ("roberta", normalizer(normalizers.Replace("x", "\n"))),
        ("roberta", normalizer(normalizers.Replace("\u00e9", "e"))),
        ("roberta", normalizer(normalizers.Replace("a b", "c"))),
        ("roberta", normalizer(normalizers.Replace("ab", "a b"))),
        ("roberta", normalizer(normalizers.Replace("ab", ""))),
        ("roberta", normalizer(normalizers.Replace(Regex("a."), " "))),
        ("roberta", normalizer(normalizers.Replace(Regex(" {2,}"), "x"))),
        ("roberta", added("two words")),
        ("roberta", added("\t")),
        ("xlm-roberta", splitting(pre_tokenizers.Metaspace(prepend_scheme="first"))),
        ("xlm-roberta", splitting(pre_tokenizers.Metaspace(prepend_scheme="never"))),
        ("xlm-roberta", splitting(pre_tokenizers.Metaspace(prepend_scheme="always", split=False))),
        ("xlm-roberta", splitting(pre_tokenizers.Punctuation(), METASPACE)),
        ("xlm-roberta", splitting(METASPACE, pre_tokenizers.Digits())),
        ("xlm-roberta", splitting(pre_tokenizers.WhitespaceSplit())),
        ("xlm-roberta", splitting(pre_tokenizers.BertPreTokenizer())),
        ("xlm-roberta", added("two words")),
        ("bert", normalizer(normalizers.Lowercase())),
        ("bert", added("\x07", normalized=True)),
        ("bert", normalizer(normalizers.BertNormalizer(), normalizers.NFC())),
        ("bert", splitting(pre_tokenizers.Whitespace())),
        ("bert", splitting(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.BertPreTokenizer())),
    ],
)
def test_inexact_tokenizer_has_no_word_rules(family: str, change: Change) -> None:
    assert words_of(made(family, change)) is None


def test_other_kinds_of_tokenizers_have_no_word_rules() -> None:
    bare = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    assert words_of(bare) is None
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    assert words_of(bare) is None


@pytest.mark.parametrize(
    ("family", "change", "served", "not_served"),
    [
        ("bert", lambda _: None, ("good\tbad\nbad", "caf\u00e9 \u4e2d"), ("good\x07",)),
        ("roberta", lambda _: None, ("caf\u00e9 \u4e2d",), ("good\tbad", "good ", " good", "")),
        # Normalized added tokens are matched after accents are stripped.
        ("bert", added("good", normalized=True), ("bad",), ("good", "caf\u00e9")),
        # A normalizer may join characters across words.
        ("roberta", normalizer(normalizers.NFC()), ("good",), ("caf\u00e9",)),
        ("albert", without_normalizer, ("good",), ("caf\u00e9", "good\tbad", " good")),
    ],
)
def test_texts_that_word_rules_read_and_refuse(
    family: str, change: Change, served: tuple[str, ...], not_served: tuple[str, ...]
) -> None:
    tokenizer = made(family, change)
    words: Any = words_of(tokenizer)
    for text in served:
        assert words.ids(text) == int32_bytes(tokenizer.encode(text, add_special_tokens=False).ids)
    assert [words.ids(text) for text in not_served] == [None] * len(not_served)


@pytest.mark.parametrize("char", ["!", "~", "a"])
def test_normalizer_that_drops_a_character_is_refused(char: str) -> None:
    class Odd:
        """A normalizer such as a precompiled one may contain."""

        def __init__(self) -> None:
            self._whole = made("roberta", normalizer(normalizers.NFC()))
            self.normalizer = self

        def to_str(self) -> str:
            return self._whole.to_str()

        def normalize_str(self, text: str) -> str:
            return text.replace(char, " ")

    assert words_of(Odd()) is None  # type: ignore[arg-type]


def test_words_share_the_entries_of_their_pieces() -> None:
    words: Any = words_of(made("bert", lambda _: None))
    words.ids("good, (bad)")
    assert set(words._cache) == {"good,", "good", ",", "(bad)", "(", "bad", ")"}


def test_long_text_reads_max_words_only() -> None:
    """A long text is split up to max_words only, a short text completely."""
    for family in ("bert", "roberta", "albert"):
        words: Any = words_of(made(family, lambda _: None))
        long, twenty = "good " * 90 + "bad", "good " * 19 + "good"
        assert words.ids(long, 60) == words.ids(long)  # 453 characters are below the limit of 60 words
        assert words.ids(long, 20) == words.ids(twenty)
        exactly = "good " * 31 + "good "  # 160 characters for 20 words
        assert words.ids(exactly, 20) == words.ids(exactly)
        assert words.ids(exactly + "x", 20) == words.ids(twenty)
        assert words.ids(" " + long, 20) in (words.ids(twenty), None)
