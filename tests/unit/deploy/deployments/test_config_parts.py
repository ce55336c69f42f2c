"""The parts of a config that restart replicas."""

from typing import Any

from labelstream.deploy.deployments.config_parts import part_of, without_counts
from labelstream.workers.config_file import load_settings, without_secrets
from tests.support.config_tree import tree


def config(**more: Any) -> dict[str, Any]:
    found = tree(workers=2)
    found["models"]["sentiment"]["replicas"] = 2
    found["models"]["other"] = found["models"]["sentiment"]
    found["pipelines"]["second"] = {**found["pipelines"]["feedback"], "input": "second", "model": "other"}
    return without_secrets(load_settings({**found, **more}))


def test_counts_are_left_out_and_the_rest_stays() -> None:
    whole = config()
    found = without_counts(whole)
    assert "workers" not in found["pipelines"]["feedback"]
    assert "replicas" not in found["models"]["sentiment"]
    assert found["pipelines"]["feedback"] == {
        key: value for key, value in whole["pipelines"]["feedback"].items() if key != "workers"
    }
    assert "workers" in whole["pipelines"]["feedback"]


def test_worker_depends_on_its_pipeline_and_models() -> None:
    settings = load_settings(tree())
    found = part_of(config(http={"port": 8001}), "feedback", settings.pipelines["feedback"])
    assert set(found["pipelines"]) == {"feedback"}
    assert set(found["models"]) == {"sentiment"}
    assert "http" not in found


def test_worker_depends_on_whether_the_page_shows_texts() -> None:
    settings = load_settings(tree())
    whole = config(http={"page": True, "page_texts": True, "port": 8001})
    assert part_of(whole, "feedback", settings.pipelines["feedback"])["http"] == {"page_texts": True}
