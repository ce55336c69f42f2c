"""A text that is cut at a split point has the tokens of its parts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

from labelstream.workers.engine.tokenization.split_points import SplitPoints, places_of, spellings_of
from labelstream.workers.engine.tokenization.word_rules import steps_of
from tests.support.plain_tokenizers import TEXT, ids, plain


def places(tokenizer: Tokenizer) -> SplitPoints | None:
    parts = json.loads(tokenizer.to_str())
    return places_of(tokenizer, parts, [step["type"] for step in steps_of(parts["normalizer"], "normalizers")])


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
@given(parts=TEXT, start=st.integers(0, 100))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_parts_have_the_tokens_of_the_whole(family: str, parts: list[str], start: int) -> None:
    text, tokenizer = "".join(parts), plain(family)
    found = places(tokenizer)
    assert found is not None
    place = found.first(text, start, len(text))
    if place is not None:
        assert place >= max(1, start)
        assert ids(tokenizer, text) == ids(tokenizer, text[:place]) + ids(tokenizer, text[place:])


def test_split_point_is_before_a_space_behind_a_letter() -> None:
    found = places(plain("bert"))
    assert found is not None
    assert found.first("good bad", 0, 8) == 4
    assert found.first("goodbad", 0, 7) is None
    assert found.first("good bad", 5, 8) is None


def test_split_point_may_follow_any_script() -> None:
    found = places(plain("bert"))
    assert found is not None
    assert found.first("caf\u00e9 cr\u00e8me", 0, 10) == 4


@pytest.mark.parametrize(("family", "more"), [("roberta", "5"), ("bert", "_")])
def test_single_word_tokens_allow_splits_at_spaces_only(family: str, more: str) -> None:
    tokenizer = plain(family)
    found = places(tokenizer)
    assert found is not None
    assert found.first(f"fine{more}", 0, 5) == 4
    tokenizer.add_tokens([AddedToken("fine", single_word=True)])
    assert ids(tokenizer, f"fine{more}") != ids(tokenizer, "fine") + ids(tokenizer, more)
    found = places(tokenizer)
    assert found is not None
    assert found.first(f"fine{more}", 0, 5) is None
    assert found.first(f"fine {more}", 0, 6) == 4


def test_split_point_is_before_raw_added_tokens_only() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.add_tokens([AddedToken("<r>", normalized=False), AddedToken("<n>", normalized=True)])
    found = places(tokenizer)
    assert found is not None
    assert found.first("good<r>", 0, 7) == 4
    assert found.first("good<n>", 0, 7) is None


def test_no_split_point_behind_a_normalized_rstrip_token() -> None:
    tokenizer = plain("roberta")
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("bay", rstrip=True, normalized=True)])
    fullwidth = "ba\uff59 good"
    assert ids(tokenizer, fullwidth) != ids(tokenizer, fullwidth[:3]) + ids(tokenizer, fullwidth[3:])
    found = places(tokenizer)
    assert found is not None
    assert found.first(fullwidth, 0, 8) is None
    assert found.first("bay good", 0, 8) is None
    assert found.first("fine bad", 0, 8) == 4


@pytest.mark.parametrize(
    ("token", "text"), [("<R1>", "good<R1>bad<R1"), ("<r1>", "good<R1>bad<R1"), ("a5.b", "good A5.B a5.ba5.b")]
)
def test_no_split_point_is_inside_an_added_token(token: str, text: str) -> None:
    tokenizer = plain("roberta")
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens([AddedToken(token, normalized=token.islower())])
    found = places(tokenizer)
    assert found is not None
    for start in range(len(text)):
        place = found.first(text, start, len(text))
        if place is not None:
            assert ids(tokenizer, text) == ids(tokenizer, text[:place]) + ids(tokenizer, text[place:])


def test_strip_allows_splits_at_single_spaces_only() -> None:
    tokenizer = plain("xlm-roberta")
    for normalizer, expected in ((normalizers.NFKC(), 4), (normalizers.Strip(), None)):
        tokenizer.normalizer = normalizer
        found = places(tokenizer)
        assert found is not None
        assert found.first("good  bad", 0, 9) == expected
        assert found.first("good bad", 0, 8) == 4


def test_runs_are_shortened_without_changing_tokens() -> None:
    tokenizer = plain("bert")
    found = places(tokenizer)
    assert found is not None
    for long in ("x" * 2_000, "\x01" * 500 + "good", "a" + " " * 900 + "b"):
        short = found.shortened(long)
        assert len(short) < len(long)
        assert ids(tokenizer, short) == ids(tokenizer, long)


@pytest.mark.parametrize(
    ("token", "text"),
    [("ab", "c" * 127 + "a" + "c" * 200 + "b" + "c" * 63), (f"[{'x' * 300}]", f"[{'x' * 300}]")],
)
def test_run_with_an_added_token_is_not_shortened(token: str, text: str) -> None:
    tokenizer = plain("bert")
    tokenizer.add_tokens([token])
    found = places(tokenizer)
    assert found is not None
    assert ids(tokenizer, found.shortened(text)) == ids(tokenizer, text)


def test_run_that_may_be_a_word_is_not_shortened() -> None:
    """Shortened, it would be short enough to have tokens of its own."""
    tokenizer, run = plain("bert"), "x" * 300
    tokenizer.model.max_input_chars_per_word = 200
    unknown = tokenizer.token_to_id("[UNK]")
    assert tokenizer.encode(run, add_special_tokens=False).ids == [unknown]
    assert tokenizer.encode(run[:192], add_special_tokens=False).ids != [unknown]
    found = places(tokenizer)
    assert found is not None
    assert found.shortened(run) == run


def test_other_bert_options_leave_fewer_split_points() -> None:
    tokenizer, control = plain("bert"), "\x01" * 500
    for kept in (False, True):
        tokenizer.normalizer = normalizers.BertNormalizer(clean_text=not kept, handle_chinese_chars=not kept)
        found = places(tokenizer)
        assert found is not None
        assert found.first("\u4e2d\u6587", 0, 2) == (None if kept else 1)
        assert (found.shortened(control) == control) == kept


def test_normalized_non_ascii_token_leaves_no_split_point() -> None:
    tokenizer = plain("bert")
    tokenizer.add_tokens([AddedToken("caf\u00e9", normalized=True)])
    assert places(tokenizer) is None


def test_added_token_with_a_space_leaves_no_split_point() -> None:
    tokenizer = plain("bert")
    tokenizer.add_tokens(["New York"])
    assert "new york" in spellings_of(tokenizer, json.loads(tokenizer.to_str()))
    assert places(tokenizer) is None


def test_single_word_token_gives_no_split_point_before_it() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.add_tokens([AddedToken("<r>", normalized=False, single_word=True)])
    found = places(tokenizer)
    assert found is not None
    assert found.first("good<r>", 0, 7) is None


def test_raw_non_ascii_token_keeps_split_points() -> None:
    for family, normalized in (("bert", False), ("roberta", True)):  # RoBERTa has no normalizer
        tokenizer = plain(family)
        tokenizer.add_tokens([AddedToken("caf\u00e9", normalized=normalized)])
        found = places(tokenizer)
        assert found is not None
        assert found.first("good bad", 0, 8) == 4


@pytest.mark.parametrize(
    ("normalizer", "prefix_space", "expected"),
    [(normalizers.NFC(), False, 4), (normalizers.Nmt(), False, None), (normalizers.NFC(), True, None)],
)
def test_byte_level_splits_kinds_if_nothing_changes_them(
    normalizer: normalizers.Normalizer, prefix_space: bool, expected: int | None
) -> None:
    tokenizer = plain("roberta")
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    found = places(tokenizer)
    assert found is not None
    assert found.first("fine5", 0, 5) == expected
    assert found.first("fine 5", 0, 6) == 4


def test_first_split_point_is_behind_the_first_character() -> None:
    found = places(plain("bert"))
    assert found is not None
    assert found.first("a b", 0, 3) == 1
    assert found.first(" a", 0, 2) is None


def test_strip_with_an_rstrip_token_splits_only_behind_other_characters() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = normalizers.Strip()
    tokenizer.add_tokens([AddedToken("<x", rstrip=True, normalized=False)])
    found = places(tokenizer)
    assert found is not None
    assert found.first("<x bad", 1, 6) is None
    assert found.first("good bad", 0, 8) == 4
    assert found.first("caf\u00e9 bad", 0, 8) is None
