"""Options of messages in files: what the stream reads from the same message, or the same error."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.common.text_file import open_text_file
from labelstream.deploy.cli.models.message_options import NAMES
from labelstream.deploy.cli.models.texts import of_file
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Request
from labelstream.workers.settings.limits import LimitSettings
from labelstream.workers.stream.codec.decode_json import read_message
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import check_message, request_of

ALL: dict[str, Any] = {
    "text_pair": "I love it",
    "candidate_labels": ["refund", "delivery"],
    "hypothesis_template": "It is {}.",
    "multi_label": True,
    "top_k": 2,
}


def asked(path: Path, content: str, field: str | None = None) -> Request | tuple[str, str]:
    """The request of the only text in the file, or its fault and problem."""
    path.write_text(content)
    with open_text_file(str(path)) as file:
        (text,) = of_file(file, field)
    return (text.fault, text.problem) if text.problem else Request(text.text, **text.options)


def test_options_are_all_fields_that_reach_the_model() -> None:
    message = TextMessage.model_validate({"text": "a", **ALL})
    assert {*NAMES} == {name for name, value in request_of(message)._asdict().items() if value is not None} - {"text"}


@pytest.mark.parametrize(
    "fields",
    [
        ALL,
        *({name: value} for name, value in ALL.items()),
        dict.fromkeys(ALL),
        {"candidate_labels": []},
        {"candidate_labels": ["refund", "refund"]},
        {"candidate_labels": [f"label {i}" for i in range(2_000)]},
        {"text_pair": 3},
        {"candidate_labels": "refund"},
        {"candidate_labels": ["refund", 1]},
        {"hypothesis_template": ["It is {}."]},
        {"multi_label": "true"},
        {"top_k": 0},
        {"top_k": 1.5},
    ],
)
def test_object_asks_what_the_stream_asks(tmp_path: Path, fields: dict[str, Any]) -> None:
    line = json.dumps({"text": "The app crashes", **fields})
    try:
        check_message(message := read_message(line.encode()), LimitSettings())
        wanted = request_of(message)
    except DecodeError as error:
        wanted = (error.reason.value, error.message)
    assert asked(tmp_path / "a.jsonl", line) == wanted


def test_row_asks_what_an_object_asks(tmp_path: Path) -> None:
    wanted = request_of(TextMessage.model_validate({"text": "The app crashes", **ALL}))
    cells = [value if isinstance(value, str) else json.dumps(value) for value in ALL.values()]
    columns, row = "\t".join(["text", *ALL]), "\t".join(["The app crashes", *cells])
    assert asked(tmp_path / "a.tsv", f"{columns}\n{row}\n") == wanted
    assert asked(tmp_path / "b.tsv", f"{columns}\nThe app crashes{len(ALL) * chr(9)}\n") == Request("The app crashes")


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        ("top_k", "many", "top_k: the cell must be JSON, such as 3"),
        ("multi_label", "True", "multi_label: the cell must be JSON, such as true"),
        ("candidate_labels", "refund", 'candidate_labels: the cell must be JSON, such as ["refund", "delivery"]'),
        ("candidate_labels", "3", "candidate_labels: Input should be a valid list, not an integer"),
    ],
)
def test_wrong_cell_is_named(tmp_path: Path, column: str, cell: str, problem: str) -> None:
    assert asked(tmp_path / "a.tsv", f"text\t{column}\nso\t{cell}\n") == ("invalid_message", problem)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_named_text_field_is_read_alone(tmp_path: Path, suffix: str) -> None:
    content = {"jsonl": '{"review":"so","top_k":"many","text_pair":"x"}', "csv": "review,top_k,text_pair\nso,many,x\n"}
    assert asked(tmp_path / f"a.{suffix}", content[suffix], "review") == Request("so")
