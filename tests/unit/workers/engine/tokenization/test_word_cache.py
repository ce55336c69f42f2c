"""The bound of the word cache in bytes."""

from collections.abc import Callable
from typing import Any

import pytest

from labelstream.workers.engine.tokenization import word_cache
from labelstream.workers.engine.tokenization.word_rules import words_of
from tests.support.models import make_tokenizer


@pytest.mark.parametrize("shape", [lambda i: f"{i:064d}", lambda i: f"w{i}"])
def test_word_cache_is_bounded_in_bytes(shape: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "MAX_BYTES", 10_000)
    words: Any = words_of(make_tokenizer("roberta").backend_tokenizer)
    cache = words._others
    for i in range(500):
        assert words.ids(f"a {shape(i)}")
        assert sum(len(word) + len(ids) for word, ids in cache.items()) < 10_500
    assert len(cache) + len(cache._old) > 20
    assert cache._bytes <= 10_500
