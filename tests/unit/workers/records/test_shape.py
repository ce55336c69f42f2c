"""The shape of output records: what goes together."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from tests.support.config_tree import tree


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"output_shape": "enrich", "format": "text"}, "pipelines.feedback", "set format to json"),
        ({"output_shape": "enrich", "include_text": "never"}, "pipelines.feedback", "remove include_text"),
        ({"output_shape": "enrich", "headers": "cloudevents"}, "pipelines.feedback", "describes results"),
        ({"enrich_field": "x"}, "pipelines.feedback", "enrich_field has no effect with output_shape result"),
        ({"on_existing": "replace"}, "pipelines.feedback", "or set output_shape to enrich"),
        ({"on_empty_text": "pass"}, "pipelines.feedback", "on_empty_text pass sends records to a topic of results"),
        ({"output_shape": "enrich", "enrich_field": 'a"'}, "pipelines.feedback.enrich_field", "must be a name"),
        ({"output_shape": "enrich", "enrich_field": ""}, "pipelines.feedback.enrich_field", "must be a name"),
        ({"output_shape": "enriched"}, "pipelines.feedback.output_shape", "must be 'result' or 'enrich'"),
    ],
)
def test_wrong_shape_names_the_key_and_the_fix(change: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tree(**change))
    assert caught.value.key == key
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"output_shape": "enrich", "enrich_field": "a.b", "on_existing": "replace"},
        {"output_shape": "enrich", "on_empty_text": "pass", "on_tombstone": "pass"},
        {"on_tombstone": "pass", "include_text": "always"},
    ],
)
def test_shapes_that_go_together_are_taken(change: dict[str, Any]) -> None:
    load_settings(tree(**change))


def chain(**second: Any) -> dict[str, Any]:
    config = tree(output_shape="enrich")
    first = config["pipelines"]["feedback"]
    config["pipelines"]["second"] = {**first, "input": first["output"], "output": "end", **second}
    return config


def test_chained_pipelines_add_fields_of_different_names() -> None:
    with pytest.raises(ConfigError, match="labelstream is the field that pipeline feedback adds") as caught:
        load_settings(chain())
    assert caught.value.key == "pipelines.second.enrich_field"
    load_settings(chain(enrich_field="topics"))
    load_settings(chain(on_existing="replace"))
    load_settings(chain(output_shape="result"))


def test_field_of_an_earlier_pipeline_in_a_chain_is_refused() -> None:
    config = chain(enrich_field="topics")
    second = config["pipelines"]["second"]
    third = config["pipelines"]["third"] = {**second, "input": "end", "output": "far", "enrich_field": "labelstream"}
    with pytest.raises(ConfigError, match="labelstream is the field that pipeline feedback adds to the records of end"):
        load_settings(config)
    third["enrich_field"] = "third"
    load_settings(config)


def test_enriched_copies_for_review_count_as_a_chain() -> None:
    config = chain(input="review")
    load_settings(config)
    config["pipelines"]["feedback"]["review"] = "review"
    with pytest.raises(ConfigError, match="adds to the records of review"):
        load_settings(config)


@pytest.mark.parametrize("key", ["output", "dead_letter", "review"])
def test_records_that_come_back_are_refused(key: str) -> None:
    config = chain(enrich_field="topics")
    config["pipelines"]["second"][key] = config["pipelines"]["feedback"]["input"]
    with pytest.raises(ConfigError, match="back from pipeline second in an endless loop; name another topic") as caught:
        load_settings(config)
    assert caught.value.key == "pipelines.feedback.input"
