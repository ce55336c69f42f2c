"""The base of all sections: reports all contradictions at once, and keeps values out of errors."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.section import Section, refuse, with_more


class Pair(Section):
    a: int = 0
    b: int = 0

    def problems(self) -> Iterator[str]:
        if self.a:
            yield "a is {set}"
        if self.b:
            yield "b is set"


def told(error: ValidationError) -> list[tuple[str, str]]:
    return [(one["type"], one["msg"]) for one in error.errors()]


def test_section_reports_all_problems_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Pair(a=1, b=2)
    assert told(caught.value) == [("problem", "a is {set}"), ("problem", "b is set")]


def test_section_refuses_unknown_keys_and_changes() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Pair.model_validate({"c": 1})
    with pytest.raises(ValidationError, match="frozen"):
        Pair().a = 1  # type: ignore[misc]


def test_refuse_accepts_no_problems() -> None:
    refuse([])


def test_with_more_keeps_places_and_drops_values() -> None:
    with pytest.raises(ValidationError) as caught:
        Pair.model_validate({"a": "hunter2"})
    more = with_more(caught.value, ["and so on"])
    assert [(one["type"], one["loc"]) for one in more.errors()] == [("int_parsing", ("a",)), ("problem", ())]
    assert "hunter2" not in str(more) + repr(more.errors())


def test_with_more_keeps_a_wrong_choice() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelOptions.model_validate({"dtype": "fp16"})
    (kept, _) = with_more(caught.value, ["and so on"]).errors()
    assert (kept["input"], kept.get("ctx", {})["expected"][:8]) == ("fp16", "'auto', ")
