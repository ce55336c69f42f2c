"""The edge tokens of a part hold for every text with that end."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from labelstream.workers.engine.tokenization.edge_tokens import EdgeTokens, openings_of
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES
from labelstream.workers.engine.tokenization.word_rules import steps_of
from tests.support.plain_tokenizers import TEXT, ids, plain, tabs_to


def openings(family: str) -> EdgeTokens | None:
    return openings_in(plain(family))


def openings_in(tokenizer: Tokenizer) -> EdgeTokens | None:
    parts = json.loads(tokenizer.to_str())
    return openings_of(tokenizer, parts, steps_of(parts["normalizer"], "normalizers"))


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
@given(parts=TEXT, more=TEXT)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_edge_tokens_of_a_part_are_those_of_the_text(family: str, parts: list[str], more: list[str]) -> None:
    part, tokenizer, edges = "".join(parts), plain(family), openings(family)
    assert edges is not None
    assert ids(tokenizer, part + "".join(more)).startswith(edges.opening(part))
    assert ids(tokenizer, "".join(more) + part).endswith(edges.closing(part))


@pytest.mark.parametrize("text", ["good" * 200, "good! " * 200, "  good" * 200])
def test_most_tokens_of_a_long_part_are_known(text: str) -> None:
    edges = openings("roberta")
    assert edges is not None
    assert len(edges.opening(text)) > 100 * ID_BYTES
    assert len(edges.closing(text)) > 100 * ID_BYTES


def test_nearly_all_words_of_a_normalized_part_are_known() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = normalizers.NFKC()
    edges = openings_in(tokenizer)
    assert edges is not None
    assert edges.opening("good " * 40) == edges.closing("good " * 40) == ids(tokenizer, "good " * 38)


FORWARD, BACKWARD = "ABCDEFGHIJKLMNOPQRSTUVWX", "abcdefghijklmnopqrstuvwx"


def with_long_tokens() -> Tokenizer:
    """Both words are one token; a part of FORWARD is one from its start, and a part of BACKWARD from its end."""
    merges = [(FORWARD[:i], FORWARD[i]) for i in range(1, len(FORWARD))]
    merges += [(BACKWARD[i], BACKWARD[i + 1 :]) for i in range(len(BACKWARD) - 2, -1, -1)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, *map("".join, merges)])}
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


@pytest.mark.parametrize("word", [FORWARD, BACKWARD])
def test_long_token_may_begin_before_an_end(word: str) -> None:
    tokenizer, text = with_long_tokens(), ("z" * 40 + word) * 3
    edges, whole = openings_in(tokenizer), ids(tokenizer, text)
    assert edges is not None
    for place in range(len(text)):
        assert whole.startswith(edges.opening(text[:place]))
        assert whole.endswith(edges.closing(text[place:]))


def test_piece_is_whole_if_four_known_characters_follow() -> None:
    tokenizer = with_long_tokens()
    edges = openings_in(tokenizer)
    assert edges is not None
    assert edges.opening("good bad" + "1234") == ids(tokenizer, "good")
    assert edges.opening("good ba" + "1234") == b""


@pytest.mark.parametrize("letters", ["stuvwx", "tuvwx", "mnopqrstuvwx", "defghijklmnopqrstuvwx"])
def test_sign_before_an_apostrophe_is_not_trusted(letters: str) -> None:
    """The letters are one piece after the signs, but an apostrophe at the start makes two: 's and the rest."""
    assert BACKWARD.endswith(letters)
    tokenizer = with_long_tokens()
    edges = openings_in(tokenizer)
    assert edges is not None
    for signs in range(12):
        part = "." * signs + f"'{letters} and more"
        assert ids(tokenizer, "x" + part).endswith(edges.closing(part))


@pytest.mark.parametrize(("step", "tells"), [(("``", '"'), True), ((Regex(" {2,}"), " "), False)])
def test_replaced_spaces_are_not_trusted(step: tuple[str | Regex, str], tells: bool) -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(*step), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # keeps each space
    edges = openings_in(tokenizer)
    assert edges is not None
    assert bool(edges.opening("good" + " " * 300)) == tells


@pytest.mark.parametrize("side", ["lstrip", "rstrip", "single_word"])
@pytest.mark.parametrize("content", ["<NEW>", "\u0391\u03a3"])  # in lower case another one at the end of a word
def test_added_token_across_a_cut_is_not_trusted(content: str, side: str) -> None:
    tokenizer = plain("roberta")
    tokenizer.add_tokens([AddedToken(content, **{side: True})])
    edges, text = (
        openings_in(tokenizer),
        f"{'not bad ' * 9}  {content}   {'so good ' * 9}{content}\u0391{' at all' * 9}",
    )
    assert edges is not None
    whole = ids(tokenizer, text)
    for place in range(len(text)):
        assert whole.startswith(edges.opening(text[:place]))
        assert whole.endswith(edges.closing(text[place:]))


def that_removes_controls(**added: Any) -> Tokenizer:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = normalizers.Nmt()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # keeps each space
    tokenizer.add_tokens([AddedToken(**added, normalized=True)])
    return tokenizer


def test_token_before_removed_characters_is_not_trusted() -> None:
    token = f"<{'good' * 12}>"
    tokenizer = that_removes_controls(content=token)
    edges, removed = openings_in(tokenizer), "\x01" * 80
    assert edges is not None
    for text in (f"bad bad {token[:-1]}{removed}> bad bad", f"bad bad <{removed}{token[1:]} bad bad"):
        whole = ids(tokenizer, text)
        for place in range(len(text)):
            assert whole.startswith(edges.opening(text[:place]))
            assert whole.endswith(edges.closing(text[place:]))


def test_whitespace_of_an_rstrip_token_is_not_trusted() -> None:
    tokenizer = that_removes_controls(content="<r>", rstrip=True)
    edges = openings_in(tokenizer)
    assert edges is not None
    for spaces in range(16):
        part = " " * spaces + "\x01   not bad at all"
        assert ids(tokenizer, "good <r>" + part).endswith(edges.closing(part))


def test_whitespace_that_is_normalized_to_words_is_not_trusted_behind_an_rstrip_token() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = tabs_to("_ _")
    tokenizer.add_tokens([AddedToken("<r>", rstrip=True, normalized=False)])
    edges = openings_in(tokenizer)
    assert edges is not None
    for before, start in (("good <r>", ""), ("good <r", ">")):
        for tabs in range(16):
            part = start + "\t" * tabs + "not bad at all"
            assert ids(tokenizer, before + part).endswith(edges.closing(part))


def test_text_without_whitespace_at_its_start_is_trusted_beside_an_rstrip_token() -> None:
    tokenizer = plain("roberta")
    tokenizer.add_tokens([AddedToken("<r>", rstrip=True)])
    edges = openings_in(tokenizer)
    assert edges is not None
    assert edges.closing("good" * 20)


def test_added_token_that_only_the_normalized_text_contains_is_not_trusted() -> None:
    tokenizer = plain("xlm-roberta")
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("<r>", normalized=True)])
    edges, text = openings_in(tokenizer), f"{'good ' * 8}\uff1cr\uff1e{' good' * 8}"
    assert edges is not None
    whole = ids(tokenizer, text)
    for place in range(len(text)):
        assert whole.startswith(edges.opening(text[:place]))
        assert whole.endswith(edges.closing(text[place:]))


@pytest.mark.parametrize(
    ("family", "part"),
    [("roberta", f"'{'good ' * 20}"), ("roberta", f"{'good ' * 20}'s"), ("xlm-roberta", "it's " * 20)],
)
def test_apostrophe_matters_to_byte_level_near_the_cut_alone(family: str, part: str) -> None:
    edges = openings(family)
    assert edges is not None
    assert edges.closing(part)


def test_other_tokenizers_have_no_edge_tokens() -> None:
    for family, normalizer in (("bert", normalizers.Lowercase()), ("roberta", normalizers.Nmt())):
        tokenizer = plain(family)
        tokenizer.normalizer = normalizer
        assert openings_in(tokenizer) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [("ignore_merges", True), ("continuing_subword_prefix", "##"), ("end_of_word_suffix", "</w>"), ("vocab", {"a": 0})],
)
def test_bpe_with_other_options_has_no_edge_tokens(option: str, value: Any) -> None:
    tokenizer = plain("roberta")
    parts = json.loads(tokenizer.to_str())
    assert openings_of(tokenizer, parts, []) is not None
    parts["model"][option] = value
    assert openings_of(tokenizer, parts, []) is None


def test_tokenizer_without_a_normalizer_is_cut_anywhere() -> None:
    text, tokenizer = "\u0e01" * 300, plain("roberta")  # Thai: no split is safe if there is a normalizer
    for normalizer, trusted in ((None, True), (normalizers.NFC(), False)):
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        edges = openings_in(tokenizer)
        assert edges is not None
        assert bool(edges.opening(text)) == bool(edges.closing(text)) == trusted


def test_unknown_token_at_the_end_is_not_trusted() -> None:
    tokenizer = plain("xlm-roberta")
    edges, text = openings_in(tokenizer), "good" * 60 + "\u0e01" * 20 + "a" * 3
    assert edges is not None
    unknown = tokenizer.token_to_id("<unk>")
    piece = tokenizer.pre_tokenizer.pre_tokenize_str(text)[0][0]
    assert tokenizer.model.tokenize(piece[: -len("aaa")])[-1].id == unknown
    known = edges._beginning(piece[: -len("aaa")])
    assert known
    assert known[-1] != unknown


@pytest.mark.parametrize("character", ["0", "\U0001f600"])  # sorted before and behind all long tokens
def test_only_cuts_inside_a_long_token_are_tried_beyond_the_short_ones(character: str) -> None:
    edges = openings_in(with_long_tokens())
    assert edges is not None
    size = len(character.encode())
    assert len(edges.opening(character * 100)) // ID_BYTES == (100 - 4) * size - 16 - (16 - 1)
    assert len(edges.closing(character * 100)) // ID_BYTES == (100 - 4) * size - (16 - 1)


def test_bytes_of_the_last_characters_are_not_trusted() -> None:
    """Of 100 emoji of four bytes: the last four are cut off, and four more may be seen by the regular expression."""
    edges = openings_in(with_long_tokens())
    assert edges is not None
    longest = len(FORWARD)
    bytes_before = 4 * (100 - 8)
    assert len(edges.opening("\U0001f600" * 100)) // ID_BYTES == bytes_before - (16 - 1)
    assert longest > 16


@pytest.mark.parametrize(("kind", "trusted"), [(normalizers.Lowercase(), True), (normalizers.Nmt(), False)])
def test_bpe_needs_a_normalizer_that_keeps_kinds(kind: normalizers.Normalizer, trusted: bool) -> None:
    tokenizer = plain("roberta")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), kind])
    assert (openings_in(tokenizer) is not None) == trusted


@pytest.mark.parametrize("step", [normalizers.Strip(), normalizers.Replace(Regex(r"\s+"), " ")])
def test_whitespace_is_no_place_if_any_step_changes_it(step: normalizers.Normalizer) -> None:
    tokenizer = plain("xlm-roberta")
    for steps, place in (([normalizers.NFC()], 4), ([normalizers.NFC(), step, normalizers.Lowercase()], None)):
        tokenizer.normalizer = normalizers.Sequence(steps)
        edges = openings_in(tokenizer)
        assert edges is not None
        found = edges._places.search("good \u0e01", 4)
        assert (found and found.start()) == place
