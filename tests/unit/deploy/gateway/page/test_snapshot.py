"""What the page shows is what `labelstream status` shows."""

import json
from typing import Any

import pytest

from labelstream.deploy.control.summary import StatusView, problems
from labelstream.deploy.gateway.page.snapshot import RECENT, snapshot
from tests.support.page import FakeSource
from tests.support.reports import gateway_report

pytestmark = pytest.mark.anyio


def shown(status: Any) -> dict[str, Any]:
    view = StatusView()
    return json.loads(json.dumps(snapshot(status, view.pipelines(status), view.models(status))))


async def test_numbers_are_those_of_the_status() -> None:
    status: Any = await FakeSource()()
    found = shown(status)
    [pipeline], [model] = found["pipelines"], found["models"]
    assert {key: pipeline[key] for key in ("name", "workers", "state", "results", "dead_letters", "p50_ms")} == {
        "name": "p",
        "workers": 1,
        "state": "running",
        "results": 5,
        "dead_letters": {"empty_text": 2},
        "p50_ms": 40.0,
    }
    assert (model["name"], model["replicas"], model["wanted"], model["padding"]) == ("m", 1, 3, None)
    assert found["http"] is None


async def test_problems_are_those_of_the_status() -> None:
    status: Any = await FakeSource()()
    [pipeline] = shown(status)["pipelines"]
    assert pipeline["problems"] == problems(StatusView().pipelines(status)[0])
    assert pipeline["alarms_page"] == "docs/how-to/runbooks/LabelstreamAlarm.md"
    assert pipeline["dead_letters_hint"] is None  # nobody knows the config file
    status["owner"] = {"config": "/etc/my config.yaml"}
    [pipeline] = shown(status)["pipelines"]
    assert pipeline["problems"][0].endswith("see `labelstream dlq list -c '/etc/my config.yaml' p`")
    assert "-c '/etc/my config.yaml'" in pipeline["dead_letters_hint"]


async def test_gateway_is_summed() -> None:
    status: Any = await FakeSource()()
    status["gateway"] = {"gateway": {"g1": gateway_report(), "g2": gateway_report()}}
    assert shown(status)["http"] == {"replicas": 2, "requests": 4, "in_flight": 2, "refused": 0, "failed": 0}


async def test_last_results_of_all_pipelines_are_in_order_of_time() -> None:
    source = FakeSource()
    status: Any = await source()
    [one] = source.recent
    status["recent"] = {
        "a": [{**one, "at": at} for at in range(0, 20, 2)],
        "b": [{**one, "at": at} for at in range(1, 20, 2)],
    }
    found = shown(status)["recent"]
    assert [entry["at"] for entry in found] == list(range(20 - RECENT, 20))
    assert [found[-1]["pipeline"], found[-2]["pipeline"]] == ["b", "a"]
