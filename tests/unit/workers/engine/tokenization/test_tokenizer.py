"""The tokenizer gives transformers' input ids for every text, cached or not."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import Activation, Keep, ModelDescription
from labelstream.workers.engine.tokenization.refusals import too_large
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES, int32_bytes
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.engine.tokenization.truncation import cut
from labelstream.workers.engine.tokenization.word_cache import MAX_WORD_CHARS, Uncacheable, WordCache
from labelstream.workers.engine.tokenization.word_rules import words_of
from labelstream.workers.errors import ModelError
from tests.support.models import FAMILIES, TEXTS, make_tokenizer


def describe(tokenizer: Any, max_length: int = 24, side: str = "right") -> ModelDescription:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    keep = Keep.TAIL if side == "left" else Keep.HEAD
    return ModelDescription("m", "r", "t", ("a",), Activation.SOFTMAX, max_length, 1, backend.to_str(), keep=keep)


@cache
def both(family: str, cased: bool = False, max_length: int = 24, side: str = "right") -> tuple[TextTokenizer, Any]:
    oracle = make_tokenizer(family, cased=cased)
    ours = TextTokenizer(describe(oracle, max_length, side))
    oracle.truncation_side = side
    return ours, oracle


def assert_same(ours: TextTokenizer, oracle: Any, requests: list[Request], max_length: int = 24) -> None:
    packed, truncated = ours.encode(requests)
    ends = packed.lengths.cumsum()
    assert ends[-1] == len(packed.ids)
    for row, (request, end) in enumerate(zip(requests, ends, strict=True)):
        # The pipeline gives an empty pair as none.
        texts = (request.text, request.text_pair) if request.text_pair else (request.text,)
        expected = oracle(*texts, truncation=True, max_length=max_length, return_token_type_ids=True)
        here = slice(int(end - packed.lengths[row]), int(end))
        assert packed.ids[here].tolist() == expected["input_ids"], request
        types = packed.type_ids[here].tolist() if packed.type_ids is not None else [0] * len(expected["input_ids"])
        assert types == expected["token_type_ids"]
        assert truncated[row] == (len(oracle(*texts)["input_ids"]) > max_length)


WORDS = sorted({word for text in TEXTS for word in text.split()})
PIECES = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(max_codepoint=127), max_size=8),
    st.text("ab!.'-[]<>/\t\n\r \x0b\x0c\x1c\x1f\x7f\x00", max_size=12),
    st.sampled_from(
        [
            "[SEP]",
            "[sep]",
            "[CLS]x",
            "x[MASK]",
            "<mask>",
            "</s>",
            "<S>",
            "[PAD]",
            "[UNK]",
            "\u00e9",
            "e\u0301",
            "\U0001f600",
            "\u0645\u0631",
            "\u4e2d\u6587",
            "\ufffd",
            "\u200b",
            "\u00a0",
            "\u2028",
            "\x85",
            "STRASSE\u1e9e",
            "a" * 101,
            "!" * 150,
            "ab" * 40,
            " " * 300,
        ]
    ),
)
TEXT = st.one_of(
    st.lists(PIECES, max_size=12).map(" ".join),
    st.lists(PIECES, max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
REQUEST = st.builds(Request, TEXT, st.one_of(st.none(), st.none(), TEXT))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("cased", [False, True])
@given(requests=st.lists(REQUEST, min_size=1, max_size=6))
@example(requests=[Request(" " * 10_000), Request("good " * 5_000), Request("a" * 5_000), Request("")])
@example(requests=[Request("x " * n, "y " * m) for n in (1, 9, 10, 11, 12, 30) for m in (1, 9, 10, 11, 12, 30)])
@settings(max_examples=150, deadline=None, derandomize=True)
def test_wordpiece_equals_transformers(cased: bool, side: str, requests: list[Request]) -> None:
    assert_same(*both("bert", cased, side=side), requests)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "bert"])
@given(requests=st.lists(REQUEST, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_every_family_equals_transformers(family: str, requests: list[Request]) -> None:
    assert_same(*both(family), requests)


@pytest.mark.parametrize("family", FAMILIES)
@given(texts=st.lists(TEXT, min_size=1, max_size=3))
@example(texts=["good", " good", "good ", "not  bad", "a\tb", "", "it's 'tis x''s don't", "``x'' '' ``", "\u2581 x"])
@example(texts=["a\u0301 b", "a \u0301b", "\ufb01ne", "\u200d x", "\U0001f469\u200d\U0001f680", "\u0e44\u0e17\u0e22 x"])
@example(texts=["good " * 400, "good " * 400 + "x", "\u0301 " * 300 + "good", "\ufffd " * 300 + "good", "a" * 5_000])
@settings(max_examples=25, deadline=None, derandomize=True)
def test_cached_words_equal_the_tokenizer(family: str, texts: list[str]) -> None:
    """For every architecture with word rules."""
    ours, _ = both(family)
    words: Any = ours._words
    for text in texts:
        expected = int32_bytes(ours.backend.encode(text, add_special_tokens=False).ids)
        assert words.ids(text) in (expected, None), text
        for most in (1, 24):
            part = words.ids(text, most)
            assert part is None or (expected.startswith(part) and len(part) >= min(most * ID_BYTES, len(expected)))
    assert words.ids("not bad at all, I've been") is not None


@given(texts=st.lists(TEXT, min_size=1, max_size=6), strip=st.sampled_from([None, True, False]), lower=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_variants_of_the_normalizer_equal_the_tokenizer(texts: list[str], strip: bool | None, lower: bool) -> None:
    assert_same(*variant(strip, lower), [Request(text) for text in texts])


@cache
def variant(strip: bool | None, lower: bool) -> tuple[TextTokenizer, Any]:
    import transformers

    vocab = make_tokenizer("bert", cased=not lower).get_vocab()
    oracle = transformers.BertTokenizer(vocab=vocab, strip_accents=strip, do_lower_case=lower)
    return TextTokenizer(describe(oracle)), oracle


@pytest.mark.parametrize(
    "added",
    [
        AddedToken("good", normalized=True),
        AddedToken("Owned", normalized=False, single_word=True),
        AddedToken("ab", normalized=False, lstrip=True, rstrip=True),
        AddedToken("e-mail", normalized=True, rstrip=True),
        AddedToken("\u00fcx", normalized=False),
    ],
)
@given(texts=st.lists(TEXT, min_size=1, max_size=6))
@example(texts=["good GOOD goods", " xgood ", "Owned owned Ownedx", " ab xabx  AB ", "e-mail  E-MAIL x", "\u00fcx ux"])
@settings(max_examples=25, deadline=None, derandomize=True)
def test_added_tokens_equal_the_tokenizer(added: AddedToken, texts: list[str]) -> None:
    ours, oracle = with_added(added)
    assert ours.has_word_cache
    assert_same(ours, oracle, [Request(text) for text in texts])


_with_added: dict[str, tuple[TextTokenizer, Any]] = {}


def with_added(added: AddedToken) -> tuple[TextTokenizer, Any]:
    if added.content not in _with_added:
        oracle = make_tokenizer("bert")
        oracle.add_tokens([added])
        _with_added[added.content] = TextTokenizer(describe(oracle)), oracle
    return _with_added[added.content]


@pytest.mark.parametrize("content", ["two words", "\u00e9", "\u00e9t\u00e9"])
def test_no_word_cache_where_an_added_token_defeats_it(content: str) -> None:
    oracle = make_tokenizer("bert")
    oracle.add_tokens([AddedToken(content, normalized=True)])
    ours = TextTokenizer(describe(oracle))
    assert not ours.has_word_cache
    assert_same(ours, oracle, [Request("two words e ete"), Request("two  words")])


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_word_cache_is_bounded_and_keeps_used_words(family: str) -> None:
    words: Any = words_of(Tokenizer.from_str(describe(make_tokenizer(family)).tokenizer_json), max_words=10)
    cache: WordCache = words._cache if family == "bert" else words._others
    assert words.ids("good good")
    expected = cache["good"]
    for i in range(100):
        assert words.ids(f"good w{i} good")
        assert cache["good"] is expected  # a used word of the old generation is kept
        assert len(cache) <= 10
        assert len(cache._old) <= 10
    assert family == "bert" or words._first._max_words == 10
    long = "z" * (MAX_WORD_CHARS + 1)
    assert cache[long]
    assert long not in cache
    assert cache[long[1:]]
    assert long[1:] in cache
    with pytest.raises(Uncacheable):
        cache[f"x{cache._added[0]}"]


def test_pair_truncation_keeps_the_ends_that_keep_names() -> None:
    assert_same(*both("bert"), [Request("x " * 30, "y " * 30)])  # an odd room for two texts
    for room, head in ((12, 3), (13, 3), (16, 4)):
        kept = np.frombuffer(cut(int32_bytes(range(20)), room, Keep.HEAD_TAIL), np.int32).tolist()
        assert kept == [*range(head), *range(20 - room + head, 20)]


@pytest.mark.parametrize(
    ("first", "second", "kept"), [(500, 501, (10, 11)), (501, 500, (11, 10)), (500, 500, (10, 11))]
)
def test_longer_text_of_a_long_pair_keeps_the_odd_token(first: int, second: int, kept: tuple[int, int]) -> None:
    packed, truncated = both("bert")[0].encode([Request("x " * first, "y " * second)])
    assert packed.type_ids is not None
    assert packed.type_ids.tolist() == [0] * (kept[0] + 2) + [1] * (kept[1] + 1)  # [CLS] x [SEP] y [SEP]
    assert truncated == [True]


def test_unread_rest_of_a_long_pair_may_be_unreadable() -> None:
    packed, truncated, refused = both("bert")[0].encode_each([Request("x " * 500, "y " * 500 + "\ud800")])
    assert (packed.lengths.tolist(), truncated, refused) == ([24], [True], {})


def test_long_text_alone_fills_an_odd_room() -> None:
    packed, truncated = both("bert", max_length=25)[0].encode([Request("x " * 500)])
    assert (packed.lengths.tolist(), truncated) == ([25], [True])


def test_long_pair_takes_memory_linear_in_its_length() -> None:
    ours, _ = both("bert")
    packed, truncated = ours.encode([Request("good " * 50_000, "bad " * 50_000)])
    assert packed.lengths.tolist() == [24]
    assert truncated == [True]


def test_encode_without_requests_is_empty() -> None:
    packed, truncated = both("bert")[0].encode([])
    assert (len(packed.ids), len(packed.lengths), truncated) == (0, 0, [])


def test_max_length_without_room_for_a_text_is_refused() -> None:
    with pytest.raises(ModelError, match="leaves no room"):
        TextTokenizer(replace(describe(make_tokenizer("bert")), max_length=4))
    packed, _ = TextTokenizer(replace(describe(make_tokenizer("bert")), max_length=5)).encode([Request("a b", "c d")])
    assert packed.lengths.tolist() == [5]


def test_sequence_of_more_than_max_tokens_is_refused() -> None:
    ours = TextTokenizer(describe(make_tokenizer("bert")), max_tokens=10)
    packed, truncated, refused = ours.encode_each([Request("x " * 8), Request("x " * 9), Request("x")])
    assert (packed.lengths.tolist(), truncated, refused.keys()) == ([10, 3], [False, False], {1})
    assert refused[1].message == too_large(11, 1, 10).message


def test_tokenizers_own_truncation_and_padding_are_off() -> None:
    oracle = make_tokenizer("bert")
    backend = Tokenizer.from_str(oracle.backend_tokenizer.to_str())
    backend.enable_truncation(4)
    backend.enable_padding(length=12)
    ours = TextTokenizer(replace(describe(oracle), tokenizer_json=backend.to_str()))
    requests = [Request("not bad at all"), Request("\x00 not bad at all"), Request("a", "b c d")]
    assert_same(ours, make_tokenizer("bert"), requests)
