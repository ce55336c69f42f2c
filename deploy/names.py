"""Names of the application, its deployments and its topics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the command's help must not import pydantic
    from labelstream.workers.settings.application import Settings

APP = "labelstream"
BOARD = "board"
GATEWAY = "gateway"


class Topics(NamedTuple):
    """Topics of one pipeline."""

    input: str
    output: str
    dead_letter: str


def model_deployment(name: str) -> str:
    return f"model-{name}"


def pipeline_deployment(name: str) -> str:
    return f"pipeline-{name}"


def is_pipeline(deployment: str) -> bool:
    return deployment.startswith(pipeline_deployment(""))


def by_deployment(models: Mapping[str, int], pipelines: Mapping[str, int]) -> dict[str, int]:
    """Numbers of model replicas and pipeline workers, by deployment."""
    return {
        **{model_deployment(name): count for name, count in models.items()},
        **{pipeline_deployment(name): count for name, count in pipelines.items()},
    }


def used_models(settings: "Settings") -> list[str]:
    """The models that at least one pipeline uses, sorted; all models if there is an HTTP gateway."""
    if settings.http is not None:
        return sorted(settings.models)
    return sorted({model for pipeline in settings.pipelines.values() for model in pipeline.allowed_models})


def deployment_names(settings: "Settings") -> tuple[list[str], list[str]]:
    """The names of the pipelines' and of the models' deployments."""
    return [pipeline_deployment(name) for name in settings.pipelines], [
        model_deployment(name) for name in used_models(settings)
    ]
