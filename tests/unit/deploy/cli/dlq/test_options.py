"""The options of `labelstream dlq`: times, places, reasons, and the pipeline."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from labelstream.deploy.cli.dlq.options import choose, place, selection
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.unit.deploy.cli.conftest import Run, fails


def milliseconds(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


def test_place_is_two_numbers() -> None:
    assert place("--at", "3:4711") == (3, 4711)
    for wrong in ("", "3", "3:", ":4", "3:-4", "a:b", "3:4:5", "3:" + "9" * 30):
        with pytest.raises(ConfigError, match=r"^--at: .* is not PARTITION:OFFSET"):
            place("--at", wrong)


def settings(*names: str) -> Any:
    pipelines = {
        name: {"input": f"{name}-in", "output": f"{name}-out", "dead_letter": f"{name}-dlq", "model": "m"}
        for name in names
    }
    kafka = {"bootstrap_servers": "127.0.0.1:1"}
    return load_settings({"kafka": kafka, "models": {"m": {"source": "x"}}, "pipelines": pipelines})


def test_only_pipeline_needs_no_name() -> None:
    assert choose(settings("one"), None).pipeline.dead_letter == "one-dlq"
    assert choose(settings("one", "two"), "two").pipeline.dead_letter == "two-dlq"


@pytest.mark.parametrize(("name", "problem"), [(None, "is missing"), ("three", "no pipeline 'three'")])
def test_ambiguous_pipeline_is_refused(name: str | None, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^PIPELINE: .*{problem}.*one, two"):
        choose(settings("one", "two"), name)


def test_selection_follows_the_options() -> None:
    wanted = selection(["too_large"], "in", "2026-11-21", None, ["0:7", "1:2"])
    assert (wanted.reasons, wanted.topic) == ({"too_large"}, "in")
    assert (wanted.since_ms, wanted.until_ms) == (milliseconds(2026, 11, 21), None)
    assert wanted.places == {(0, 7), (1, 2)}
    assert selection(None, None, None, None, None) == selection([], None, None, None, [])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("list", "other"), "PIPELINE: no pipeline 'other' in the config; give one of feedback"),
        (("list", "--reason", "bad"), "--reason: unknown reason 'bad'; give one of invalid_encoding, "),
        (("list", "--since", "soon"), "--since: 'soon' is not a time"),
        (("show", "7"), "PARTITION:OFFSET: '7' is not PARTITION:OFFSET"),
        (("redrive", "--to", "dlq"), "--to: is the dead-letter topic itself"),
        (("redrive", "--to", "dlq.redriven"), "--to: is the ledger of redrives"),
        (("redrive", "--to", "in/put"), "--to: 'in/put' is not a topic's name"),
        (("redrive",), "--yes: is missing, and there is no terminal to ask on"),
    ],
)
def test_wrong_options_exit_with_2(
    run: Run, write_config: Callable[..., str], stdin: Any, arguments: Any, part: str
) -> None:
    stdin(b"")
    fails(run("dlq", *arguments, "-c", write_config()), 2, part)


def test_pipeline_is_required_if_there_are_two(run: Run, write_config: Callable[..., str]) -> None:
    two = "model: sentiment}\n  more: {input: in2, output: out2, dead_letter: dlq2, model: sentiment}"
    fails(run("dlq", "list", "-c", write_config("model: sentiment}", two)), 2, "PIPELINE: is missing", "feedback, more")
