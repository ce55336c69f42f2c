"""What a part of a text tells of the tokens at its ends holds for every text with that end."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from labelstream.workers.engine.tokenization.edge_tokens import EdgeTokens, openings_of
from labelstream.workers.engine.tokenization.special_tokens import ID_BYTES, int32_bytes
from labelstream.workers.engine.tokenization.word_rules import steps_of
from tests.support.models import make_tokenizer

TEXT = st.lists(
    st.sampled_from(("good", "bad ", "a", ".", "'s", "\u00e9", "\u4e2d", "5", " ", "\n", "x" * 30)), min_size=60
)


def plain(family: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(make_tokenizer(family).backend_tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def ids(tokenizer: Tokenizer, text: str) -> bytes:
    return int32_bytes(tokenizer.encode(text, add_special_tokens=False).ids)


def openings(family: str) -> EdgeTokens | None:
    tokenizer = plain(family)
    parts = json.loads(tokenizer.to_str())
    return openings_of(tokenizer, parts, steps_of(parts["normalizer"], "normalizers"))


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
@given(parts=TEXT, more=TEXT)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_ends_of_a_part_are_those_of_the_whole(family: str, parts: list[str], more: list[str]) -> None:
    part, tokenizer, edges = "".join(parts), plain(family), openings(family)
    assert edges is not None
    assert ids(tokenizer, part + "".join(more)).startswith(edges.opening(part))
    assert ids(tokenizer, "".join(more) + part).endswith(edges.closing(part))


def test_long_word_tells_most_of_its_tokens() -> None:
    edges = openings("roberta")
    assert edges is not None
    assert len(edges.opening("good" * 200)) > 100 * ID_BYTES


def test_wordpiece_tells_nothing() -> None:
    assert openings("bert") is None
