"""Synthetic texts: whole words, the requested length, the same each time."""

import pytest

from labelstream.workers.engine.tokenization.synthetic_texts import make_texts
from tests.support.models import make_tokenizer


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta"])
def test_texts_have_the_mean_length_and_repeat(family: str) -> None:
    tokenizer = make_tokenizer(family).backend_tokenizer
    texts = make_texts(tokenizer, 2_000, 20)
    lengths = [len(tokenizer.encode(text).ids) for text in texts]
    assert sum(lengths) / len(lengths) == pytest.approx(20, rel=0.1)
    assert max(lengths) > 2 * min(lengths)
    assert texts == make_texts(tokenizer, 2_000, 20)
    assert texts != make_texts(tokenizer, 2_000, 20, seed=2)


def test_texts_consist_of_whole_words() -> None:
    tokenizer = make_tokenizer("bert").backend_tokenizer
    words = {word for text in make_texts(tokenizer, 200, 10) for word in text.split()}
    assert all(len(tokenizer.encode(word, add_special_tokens=False).ids) == 1 for word in words)
