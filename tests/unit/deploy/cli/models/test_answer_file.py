"""The output file is written completely or not at all."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.models.answer_file import answer_file
from labelstream.deploy.cli.models.texts import Text
from labelstream.workers.classifier import Fault, Prediction, RecordError
from labelstream.workers.errors import ConfigError, LabelstreamError, StartError

GOOD = Prediction(("GOOD",), (0.75,), 3, False, "r")
REFUSED = RecordError(Fault.INVALID_MESSAGE, "no")


def text(**fields: Any) -> Text:
    return Text("line 7", "so", fields)


def written(path: Path, *calls: list[tuple[Text, Any]]) -> str:
    with answer_file(path) as file:
        for answered in calls:
            file.write(answered)
    return path.read_text()


def test_json_lines_have_fields_and_answer(tmp_path: Path) -> None:
    found = written(tmp_path / "a", [(text(id=1), GOOD)], [(text(id=2), REFUSED)])
    first, second = map(json.loads, found.splitlines())
    assert (first["id"], first["label"]) == (1, "GOOD")
    assert second == {"id": 2, "error": "invalid_message", "message": "no"}
    assert os.listdir(tmp_path) == ["a"]


def test_table_has_columns_and_answer(tmp_path: Path) -> None:
    calls = [(text(id="1", more={"a": 1}), REFUSED), (text(id="2", more="x, y"), GOOD)], [(text(id="3"), GOOD)]
    assert written(tmp_path / "a.csv", *calls).splitlines() == [
        "id,more,label,score,error",
        '1,"{""a"": 1}",,,invalid_message',
        '2,"x, y",GOOD,0.75,',
        "3,,GOOD,0.75,",
    ]


def test_column_of_a_table_has_one_meaning(tmp_path: Path) -> None:
    calls = [(text(id="1"), GOOD), (text(id="2", label="theirs"), GOOD)], [(text(id="3"), GOOD)]
    assert written(tmp_path / "a.csv", *calls).splitlines() == [
        "id,label,predicted_label,score,error",
        "1,,GOOD,0.75,",
        "2,theirs,GOOD,0.75,",
        "3,,GOOD,0.75,",
    ]
    with pytest.raises(LabelstreamError, match="has the field 'label'"):
        written(tmp_path / "b.csv", [(text(id="1"), GOOD)], [(text(id="2", label="theirs"), GOOD)])


def test_table_refuses_later_fields(tmp_path: Path) -> None:
    with pytest.raises(LabelstreamError, match=r"line 7 has the field 'new', .*; write JSON lines, to a\.jsonl"):
        written(tmp_path / "a.csv", [(text(id="1"), GOOD)], [(text(new="2"), GOOD)])
    assert os.listdir(tmp_path) == []


def test_failure_leaves_file_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    with pytest.raises(AttributeError), answer_file(tmp_path / "a") as file:
        file.write([(text(), GOOD), (text(), "no answer")])
    assert (tmp_path / "a").read_text() == "before"
    assert os.listdir(tmp_path) == ["a"]


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert written(tmp_path / "link", [(text(), GOOD)])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    written(tmp_path / "new")
    mask = os.umask(0o022)
    os.umask(mask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~mask


def test_full_disk_is_reported() -> None:
    with pytest.raises(StartError, match=r"^/dev/full cannot be written \(No space left on device\)$"):
        written(Path("/dev/full"), [(text(), GOOD)])


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.tsv", r"cannot write \.tsv files"), ("none/a", r"cannot be written \(No such file or directory\)")],
)
def test_unwritable_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^--output: .*{said}"), answer_file(tmp_path / name):
        pass
