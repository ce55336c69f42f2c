import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from labelstream.deploy.cli.models.answer_texts import TEXTS_PER_CALL, Ask, TextOptions, answer_texts
from labelstream.workers.classifier import Answer, Fault, Prediction, RecordError, Request
from labelstream.workers.errors import ConfigError

PLAIN = TextOptions(["a", "b"], None, None, None, False)
ASKED = Request("", top_k=2)


class Model:
    """Answers each text with itself as the label; `bad` has no answer."""

    def __init__(self) -> None:
        self.calls: list[list[Request]] = []

    @contextmanager
    def open(self) -> Iterator[Ask]:
        yield self.ask

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        self.calls.append(list(requests))
        return [
            RecordError(Fault.TOO_LARGE, "too many tokens")
            if request.text == "bad"
            else Prediction((request.text,), (0.5,), 3, False, "r")
            for request in requests
        ]


def test_texts_are_asked_with_the_given_options(capsys: pytest.CaptureFixture[str]) -> None:
    model = Model()
    answer_texts(PLAIN, model.open, ASKED)
    assert model.calls == [[Request("a", top_k=2), Request("b", top_k=2)]]
    assert capsys.readouterr().out == "a 0.5000\ta\nb 0.5000\tb\n"


def test_file_is_asked_in_chunks_and_bad_rows_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output, model = tmp_path / "in.csv", tmp_path / "out.csv", Model()
    file.write_text("text\n" + "good\n" * TEXTS_PER_CALL + "bad\n" + '" "\n')
    options = TextOptions(None, str(file), None, output, False)
    with pytest.raises(typer.Exit) as ended:
        answer_texts(options, model.open, ASKED)
    assert ended.value.exit_code == 1
    assert [len(call) for call in model.calls] == [TEXTS_PER_CALL, 1]
    told = capsys.readouterr().err
    assert f"line {TEXTS_PER_CALL + 2}: too many tokens" in told
    assert f"2 of {TEXTS_PER_CALL + 2} texts could not be classified" in told
    assert len(output.read_text().splitlines()) == TEXTS_PER_CALL + 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"input": "file"}, "--input: unexpected beside texts"),
        ({"text_field": "a"}, "--text-field: names a column or field of a file"),
    ],
)
def test_contradicting_options_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}"):
        PLAIN._replace(**change).check()


def test_nothing_to_read_on_a_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(ConfigError, match=r"^TEXT: is missing"):
        PLAIN._replace(texts=None).check()
