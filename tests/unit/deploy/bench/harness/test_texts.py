"""Any number of texts, all different."""

from pathlib import Path

import pytest

from labelstream.deploy.bench.harness.texts import nth_text, texts_for
from labelstream.workers.errors import ConfigError
from tests.support.fake_handle import description as described


def test_repeated_texts_are_all_different() -> None:
    texts = ["a", "b c", "d"]
    many = [nth_text(texts, number) for number in range(300)]
    assert many[:5] == [*texts, "a 1", "b c 1"]
    assert len(set(many)) == 300


def test_equal_lines_of_a_file_are_one_text(tmp_path: Path) -> None:
    description, file = described(), tmp_path / "texts"
    file.write_text("a\n\n  \nb\na\nc\n")
    assert texts_for(description, file, 5, 8) == ["a", "b", "c", "a 1", "b 1"]
    assert texts_for(description, file, 2, 8) == ["a", "b"]
    made = texts_for(description, None, 300, 4)
    assert len(set(made)) == len(made) == 300
    file.write_text("a\na 1\n")
    assert texts_for(description, file, 5, 8) == ["a", "a 1", "a 1 1", "a 2", "a 1 2"]
    file.write_text("\n")
    with pytest.raises(ConfigError, match="contains no text"):
        texts_for(description, file, 2, 8)
    with pytest.raises(ConfigError, match="cannot be read"):
        texts_for(description, tmp_path / "missing", 2, 8)
