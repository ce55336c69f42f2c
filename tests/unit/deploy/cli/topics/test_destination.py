"""The topic that `produce` sends to, and the check of the first messages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.common.text_file import LineError, open_text_file
from labelstream.deploy.cli.topics.destination import Destination, check_first, find_destination
from labelstream.deploy.cli.topics.line_format import KeyedValue, LineReader
from labelstream.workers.errors import ConfigError
from tests.support.decoding import pipeline

WriteConfig = Callable[..., str]
ONLY_IF = {"field": "l", "equals": 2}


@pytest.mark.parametrize(("name", "topic", "found"), [("feedback", "in", "feedback"), ("in", "in", "feedback")])
def test_pipeline_or_input_finds_the_pipeline(write_config: WriteConfig, name: str, topic: str, found: str) -> None:
    to = find_destination(name, None, Path(write_config()))
    assert (to.topic, to.pipeline, to.settings.format) == (topic, found, "json")


def test_pipeline_of_several_topics_needs_one_of_them(write_config: WriteConfig) -> None:
    config = Path(write_config("input: in", "input: [in, more]"))
    assert find_destination("feedback", None, config, "more").topic == "more"
    assert find_destination("more", None, config).pipeline == "feedback"
    with pytest.raises(ConfigError, match="--topic: is missing: pipeline feedback reads in, more; name the topic"):
        find_destination("feedback", None, config)
    with pytest.raises(ConfigError, match="--topic: other is not an input of pipeline feedback; it reads in, more"):
        find_destination("feedback", None, config, "other")
    with pytest.raises(ConfigError, match="--topic: has no effect: more is not a pipeline of a config; give in"):
        find_destination("more", None, config, "in")


def test_other_name_is_a_topic(write_config: WriteConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(write_config())
    to = find_destination("feedbak", None, config)
    assert (to.topic, to.pipeline) == ("feedbak", None)
    assert (
        capsys.readouterr().err == f"sending to topic feedbak: {config} has no pipeline of that name, only feedback\n"
    )
    assert find_destination("dlq", None, config).pipeline is None
    assert capsys.readouterr().err == ""
    assert find_destination("feedback", "h:1", None).topic == "feedback"


def look(path: Path, reader: LineReader, **settings: Any) -> list[KeyedValue]:
    with open_text_file(str(path)) as file:
        to = Destination(None, "in", "p", pipeline(**settings))
        return list(check_first(file, reader.read(file.lines()), to))


def test_readable_messages_are_all_returned(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"other": 1}\n' + b'{"text": "a"}\n' * 30)
    assert len(look(path, LineReader("json"))) == 31
    path.write_bytes(b"")
    assert look(path, LineReader("json")) == []


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (b'{"text": "secret"}\n', {"format": "text"}, "contains JSON objects, but pipeline p reads plain text"),
        (b'{"txt": "secret"}\n', {}, r"cannot read the first message \(invalid_message: text: "),
        (b'{"text": "secret"}\n' * 9, {"text_field": "a.b"}, r"first 9 messages \(invalid_message: text_field a.b"),
        (b"\xff\n", {"format": "text"}, r"cannot read the first message \(invalid_encoding"),
        (b'{"l": 1}\n{"l": 2}\n' * 2, {"only_if": ONLY_IF}, r"cannot read 2 of the first 4 messages \(invalid_message"),
        (b'{"text": " "}\n', {}, r"cannot read the first message \(empty_text"),
    ],
)
def test_unreadable_file_is_refused(tmp_path: Path, content: bytes, settings: Any, said: str) -> None:
    (tmp_path / "lines").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as raised:
        look(tmp_path / "lines", LineReader(settings.get("format", "json")), **settings)
    assert "nothing was sent" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"only_if": ONLY_IF}, "(only_if)"),
        ({"on_empty_text": "skip"}, "(on_empty_text: the text is empty or blank)"),
        ({"on_empty_text": "pass", "output_shape": "enrich"}, "(on_empty_text: the text is empty or blank)"),
    ],
)
def test_messages_that_conditions_exclude_are_sent_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Any, why: str
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"text": " ", "l": 1}\n' * 30 + b'{"text": "a", "l": 2}\n')
    assert len(look(path, LineReader("json"), **settings)) == 31
    assert capsys.readouterr().err == f"note: pipeline p does not classify the first 20 messages {why}\n"


@pytest.mark.parametrize(
    ("content", "settings", "fix"),
    [
        (
            b'{"id": 1, "a\\u001b": "secret", "id": 2}\n',
            {},
            "at text, see text_field; the first message has id, a\\x1b",
        ),
        (b'{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1}', {"text_field": "x"}, "g, h and 2 more"),
        (b"{}\n", {}, "the first message has no fields"),
        (b"\xff\n", {"format": "text"}, "--raw sends them anyway, as future dead letters"),
    ],
)
def test_error_names_the_fields_of_the_file(tmp_path: Path, content: bytes, settings: Any, fix: str) -> None:
    (tmp_path / "lines").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        look(tmp_path / "lines", LineReader(settings.get("format", "json")), **settings)
    assert str(raised.value).endswith(fix)
    assert "secret" not in str(raised.value)


def test_plain_text_for_json_suggests_wrap(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"secret\n")
    with pytest.raises(LineError, match=r"lines: line 1: not a JSON object; add --wrap .*nothing was sent"):
        look(tmp_path / "lines", LineReader("json"))
