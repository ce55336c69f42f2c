"""The dashboard's JSON, from its panels."""

import json

from labelstream.deploy.observability.dashboard.make_dashboard import TARGET, WIDTH, build
from labelstream.deploy.observability.dashboard.panels import ROWS


def test_file_is_what_the_source_makes() -> None:
    assert TARGET.read_text(encoding="utf-8") == build(), "run `make dashboard`"


def test_every_panel_is_there_once_in_its_order() -> None:
    made = json.loads(build())["panels"]
    expected = [title for row in ROWS for title in (row.title, *(panel.title for panel in row.panels))]
    assert [panel["title"] for panel in made] == expected
    assert len({panel["id"] for panel in made}) == len(made)
    panels = [panel for panel in made if panel["type"] != "row"]
    assert {panel["gridPos"]["w"] for panel in panels} == {WIDTH}
    expressions = [[target["expr"] for target in panel["targets"]] for panel in panels]
    assert expressions == [[query[0] for query in panel.queries] for row in ROWS for panel in row.panels]


def test_pipeline_and_model_can_be_chosen() -> None:
    found = {entry["name"]: entry for entry in json.loads(build())["templating"]["list"]}
    assert list(found) == ["datasource", "pipeline", "model"]
    assert all(found[name]["multi"] and found[name]["includeAll"] for name in ("pipeline", "model"))
