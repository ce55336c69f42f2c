"""Names of deployments, and which models are used."""

from types import SimpleNamespace
from typing import Any

from labelstream.deploy.names import by_deployment, deployment_names, used_models


def settings(http: bool = False, **pipelines: tuple[str, ...]) -> Any:
    return SimpleNamespace(
        http=object() if http else None,
        pipelines={name: SimpleNamespace(allowed_models=models) for name, models in pipelines.items()},
        models=dict.fromkeys("abcd"),
    )


def test_used_models_come_once_and_sorted() -> None:
    assert used_models(settings(p=("c", "a"), q=("a",))) == ["a", "c"]


def test_http_uses_all_models() -> None:
    assert used_models(settings(http=True)) == ["a", "b", "c", "d"]


def test_deployments_are_those_of_pipelines_and_used_models() -> None:
    assert deployment_names(settings(p=("c", "a"), q=("a",))) == (["pipeline-p", "pipeline-q"], ["model-a", "model-c"])


def test_counts_by_deployment_keep_kinds_apart() -> None:
    assert by_deployment({"x": 2}, {"x": 3}) == {"model-x": 2, "pipeline-x": 3}
