"""What the deployments and topics of one application are called."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the command's help must be there before pydantic is
    from labelstream.workers.settings import Settings

APP = "labelstream"
BOARD = "board"


class Topics(NamedTuple):
    """Of one pipeline."""

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
    """How many replicas of each model and workers of each pipeline, by deployment."""
    return {
        **{model_deployment(name): count for name, count in models.items()},
        **{pipeline_deployment(name): count for name, count in pipelines.items()},
    }


def used_models(settings: "Settings") -> list[str]:
    """The models that some pipeline uses, sorted: the others get no replica."""
    return sorted({model for pipeline in settings.pipelines.values() for model in pipeline.allowed_models})


def deployment_names(settings: "Settings") -> tuple[list[str], list[str]]:
    """The names of the pipelines' deployments and of the models' ones."""
    return [pipeline_deployment(name) for name in settings.pipelines], [
        model_deployment(name) for name in used_models(settings)
    ]
