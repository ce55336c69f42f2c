"""What `/info` says of a model, in the keys of text-embeddings-inference."""

from importlib.metadata import version
from typing import NamedTuple

from pydantic import BaseModel

from labelstream.deploy.gateway.served import Model
from labelstream.workers.engine.batching.dynamic_batcher import JOINED_TOKENS

_OF_A_FOLDER = "dir-"  # begins the revision of a model that is no hub model


class Limits(NamedTuple):
    """Limits of the gateway, see `HttpSettings`."""

    max_ongoing_requests: int = 256
    max_texts: int = 1_024


DEFAULT_LIMITS = Limits()


class ClassifierModel(BaseModel):
    """Labels by their ids, and ids by their labels."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class EmbeddingModel(BaseModel):
    """`pooling`: mean or cls."""

    pooling: str


class Info(BaseModel):
    """A model and the limits of its requests."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: dict[str, ClassifierModel | EmbeddingModel]
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


def info_of(model: Model, limits: Limits) -> Info:
    """The path of a model's folder is not shown: its name stands for it."""
    name, found = model
    labels = {label: i for i, label in enumerate(found.labels)}
    kind: dict[str, ClassifierModel | EmbeddingModel] = {
        "classifier": ClassifierModel(id2label={str(i): label for label, i in labels.items()}, label2id=labels)
    }
    if found.dimensions:
        kind = {"embedding": EmbeddingModel(pooling=found.pooling)}
    return Info(
        model_id=name if found.revision.startswith(_OF_A_FOLDER) else found.source,
        model_sha=found.revision,
        model_dtype=found.dtype,
        served_model_name=name,
        model_type=kind,
        max_concurrent_requests=limits.max_ongoing_requests,
        max_input_length=found.max_length,
        max_batch_tokens=JOINED_TOKENS,
        max_batch_requests=None,
        max_client_batch_size=limits.max_texts,
        auto_truncate=True,
        tokenization_workers=1,
        version=version("labelstream"),
        sha=None,
        docker_label=None,
    )
