"""`fields` of a pipeline: what it takes, and what it refuses in which words."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from labelstream.workers.records.fields import FieldSettings
from tests.support.config_tree import tree

FIELDS = "pipelines.feedback.fields"


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"fields": {"text": "a..b"}}, f"{FIELDS}.text.0", "must be a path such as event.message"),
        ({"fields": {"text": 5}}, f"{FIELDS}.text", "must be"),
        ({"fields": {"txt": "a"}}, f"{FIELDS}.txt", "did you mean text"),
        ({"fields": {"text": "a", "id": "b[*]"}}, FIELDS, "id takes one value, and b[*] names all items"),
        (
            {"fields": {"text": ["a", "b"], "text_pair": "c[*]"}},
            FIELDS,
            "text_pair takes one value, and c[*] names all",
        ),
        (
            {"fields": {"text": "a[*].b[*]", "text_pair": "c[*]"}},
            FIELDS,
            "text_pair c[*] and text a[*].b[*] differ in number",
        ),
        ({"fields": {"text": "a", "id": "header:"}}, f"{FIELDS}.id", "write header:NAME"),
        ({"fields": {"text": "a", "metadata": [1]}}, f"{FIELDS}.metadata", "must be"),
        ({"fields": {"text": "a", "metadata": {"x": "a."}}}, f"{FIELDS}.metadata.x", "must be a path"),
        ({"fields": {"id": "b"}}, "pipelines.feedback", "fields.text is missing; add"),
        ({"fields": {"text": "a"}, "text_field": "a"}, "pipelines.feedback", "remove one of the two"),
        ({"text_field": "a[*]"}, "pipelines.feedback", "set fields.text to a[*]"),
        ({"text_field": "a["}, "pipelines.feedback.text_field", "must be a path"),
        (
            {"format": "text", "fields": {"text": "a"}},
            "pipelines.feedback",
            "fields.text has no effect with format text",
        ),
        ({"format": "text", "fields": {"id": "a"}}, "pipelines.feedback", "fields.id: a is a path in JSON"),
        ({"format": "text", "fields": {"metadata": ["a"]}}, "pipelines.feedback", "fields.metadata: a is a path"),
    ],
)
def test_wrong_fields_name_the_key_and_the_fix(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)


def test_short_forms_are_read_as_the_long_ones() -> None:
    assert FieldSettings.model_validate({"text": "a"}) == FieldSettings.model_validate({"text": ["a"]})
    short = FieldSettings.model_validate({"text": "a", "metadata": ["b.c", "header:x"]})
    assert short.metadata == {"b.c": "b.c", "header:x": "header:x"}


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"text": ["a", "header:x", "key"], "metadata": {"n": "b[*].c"}, "candidate_labels": "l[*]"}},
        {"text_field": "a", "fields": {"id": "b"}},
        {"fields": {"text": "a[*].b[*]", "text_pair": "c[*][*]"}},
        {"format": "text", "fields": {"id": "key", "metadata": ["header:x"]}},
    ],
)
def test_fields_that_go_together_are_taken(change: dict[str, Any]) -> None:
    load_settings(tree(**change))


@pytest.mark.parametrize(
    ("fields", "is_list"),
    [
        ({"text": "a[*].b"}, True),
        ({"text": ["$[*]"]}, True),
        ({"text": "a[*].b", "text_separator": " "}, False),
        ({"text": ["a[*].b", "c"]}, False),
        ({"text": "a[0].b"}, False),
        ({"text": "header:x[*]"}, False),
        ({}, False),
    ],
)
def test_one_place_with_a_star_is_a_list_of_texts(fields: dict[str, Any], is_list: bool) -> None:
    assert FieldSettings.model_validate(fields).is_list is is_list


def test_fields_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_PIPELINES__FEEDBACK__FIELDS__TEXT", "event.message")
    monkeypatch.setenv("LABELSTREAM_PIPELINES__FEEDBACK__FIELDS__METADATA", '["level"]')
    fields = load_settings(tree()).pipelines["feedback"].fields
    assert (fields.text, fields.metadata) == (("event.message",), {"level": "level"})
