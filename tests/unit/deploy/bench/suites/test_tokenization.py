"""The tokenizers and texts of the benchmark, and a short run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from labelstream.deploy.bench.suites import tokenization
from labelstream.deploy.bench.suites.tokenization import bpe, make_texts, make_words, measure, unigram, wordpiece

WORDS = make_words(300)


def test_words_are_all_different() -> None:
    assert len(set(WORDS)) == len(WORDS) == 300
    assert make_words(300) == WORDS
    assert make_words(300, seed=2) != WORDS


def test_texts_have_their_length_capitals_and_signs() -> None:
    texts = make_texts(WORDS, 3_000)
    lengths = np.array([len(text.split()) for text in texts])
    assert lengths.mean() == pytest.approx(26, rel=0.1)
    assert all(text[0].isupper() for text in texts)
    words = [word for text in texts for word in text.split()]
    assert np.mean([word[-1] in ",.!?" for word in words]) == pytest.approx(1 / 8, rel=0.1)
    assert words.count(WORDS[0]) > 5 * words.count(WORDS[200]), "as in natural language"


@pytest.mark.parametrize("make", [wordpiece, bpe, unigram], ids=lambda make: make.__name__)
def test_known_word_is_one_piece_between_specials(make: object) -> None:
    tokenizer: Tokenizer = make(WORDS)  # type: ignore[operator]
    encoded = tokenizer.encode(WORDS[0])
    assert encoded.tokens[0] == "[CLS]"
    assert encoded.tokens[-1] == "[SEP]"
    assert "[UNK]" not in tokenizer.encode(" ".join(make_texts(WORDS, 20))).tokens
    if make is not bpe:  # that learns whole words where they are frequent
        assert len(encoded.tokens) == 3


def test_each_tokenizer_has_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tokenization, "make_words", lambda: WORDS)
    path = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["tokenization", "--texts", "60", "--rounds", "1", "--json", str(path)])
    tokenization.main()
    found = json.loads(path.read_text())
    assert list(found) == ["WordPiece", "byte-level BPE", "Unigram", "demo's model"]
    for figures in found.values():
        assert set(figures) == {"tokens", "words", "mixed", "plain", "plain / words", "plain / mixed"}
        assert all(value > 0 for value in figures.values())
    assert "microseconds of CPU per text" in capsys.readouterr().out
    assert measure.__doc__
