"""The errors of the code, with their fixes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import error_texts as module
from docs.generate.error_texts import ErrorText, error_texts

SOURCE = """
class Unreachable(StartError):
    pass


class KafkaSettings(Section):
    def problems(self):
        yield f"delivery_timeout_ms ({self.delivery_timeout_ms}) is too low; raise it"


def start(path, name):
    raise ConfigError(str(path), f"has no {name}", "add it")
    raise ConfigError("", "is empty: remove it")
    raise StartError(f"topic {name}: does not exist (not yet; or no more); create it")
    raise Unreachable("no broker answers")
    raise ModelError(f"{path}: {name}")
    yield Finding("memory", "too little; free some")
    yield Finding("memory", "much", logging.INFO)
    yield Finding("memory", "little", WARNING)
"""


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ErrorText, ...]]:
    (tmp_path / "code.py").write_text(SOURCE)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "_files", lambda: [tmp_path / "code.py"])
    error_texts.cache_clear()
    module._classes.cache_clear()
    yield error_texts()
    error_texts.cache_clear()
    module._classes.cache_clear()


def test_error_has_its_text_and_its_fix(found: tuple[ErrorText, ...]) -> None:
    assert [(text.error, text.problem, text.fix) for text in found] == [
        ("ConfigError", "kafka: delivery_timeout_ms (DELIVERY_TIMEOUT_MS) is too low", "raise it"),
        ("ConfigError", "PATH: has no NAME", "add it"),
        ("ConfigError", "is empty", "remove it"),
        ("StartError", "topic NAME: does not exist (not yet; or no more)", "create it"),
        ("StartError", "no broker answers", ""),
        ("StartError", "memory: too little", "free some"),
    ]


def test_errors_of_the_product_are_found() -> None:
    texts = error_texts()
    assert len(texts) > 150
    assert {text.error for text in texts} == {"ConfigError", "StartError", "ModelError"}
    assert {text.module.split("/")[0] for text in texts} == {"workers", "deploy"}
