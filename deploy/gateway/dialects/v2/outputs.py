"""The outputs of each task."""

from collections.abc import Sequence
from itertools import chain

from labelstream.deploy.gateway.dialects.v2.bodies import InferRequest, TensorMetadata
from labelstream.deploy.gateway.dialects.v2.tensors import BYTES, FP32, INT64, Output
from labelstream.deploy.gateway.served import WrongField
from labelstream.workers.classifier import Answered, Embedding, MaskFill, Prediction
from labelstream.workers.engine.description import ModelDescription, TaskName

_REFUSED = {"classification": "use the parameter top_k", "shared_memory_region": "leave it out"}


def outputs_of(answers: Sequence[Answered], shape: list[int], top_k: int | None) -> list[Output]:
    """The outputs of answers of one task. Raises WrongField if they do not fit a tensor.

    Labels and scores have the `shape` of the texts, or [n, k] where the request names `top_k`. k is at most `top_k`:
    answers with independent labels also have accepted labels beyond it, whose numbers differ between texts.
    """
    first = answers[0]
    if isinstance(first, Embedding):
        vectors = [answer.vector for answer in answers if isinstance(answer, Embedding)]
        return [Output("embedding", FP32, [len(vectors), len(first.vector)], list(chain.from_iterable(vectors)))]
    if isinstance(first, MaskFill):
        return _fills([answer for answer in answers if isinstance(answer, MaskFill)])
    predictions = [answer for answer in answers if isinstance(answer, Prediction)]
    kept = 1 if top_k is None else min(top_k, *(len(answer.labels) for answer in predictions))
    shape = shape if top_k is None else [len(answers), kept]
    return [
        Output("label", BYTES, shape, [label for answer in predictions for label in answer.labels[:kept]]),
        Output("score", FP32, shape, [score for answer in predictions for score in answer.scores[:kept]]),
    ]


def _fills(answers: Sequence[MaskFill]) -> list[Output]:
    """Tensors of the shape [texts, masks, tokens]."""
    masks = len(answers[0].masks)
    if any(len(answer.masks) != masks for answer in answers):
        raise WrongField("inputs: each text needs the same number of masks; send other texts alone")
    fills = [fill for answer in answers for found in answer.masks for fill in found]
    shape = [len(answers), masks, len(answers[0].masks[0])]
    return [
        Output("label", BYTES, shape, [fill.token for fill in fills]),
        Output("token_id", INT64, shape, [fill.token_id for fill in fills]),
        Output("score", FP32, shape, [fill.score for fill in fills]),
    ]


def metadata_of(description: ModelDescription) -> list[TensorMetadata]:
    """The outputs without `top_k`. -1 is any size."""
    if description.task == TaskName.EMBEDDING:
        return [TensorMetadata(name="embedding", datatype=FP32, shape=[-1, description.dimensions])]
    is_masked = description.task == TaskName.FILL_MASK
    names = [("label", BYTES), *([("token_id", INT64)] if is_masked else []), ("score", FP32)]
    shape = [-1, -1, -1] if is_masked else [-1]
    return [TensorMetadata(name=name, datatype=datatype, shape=shape) for name, datatype in names]


def requested(request: InferRequest, description: ModelDescription) -> list[tuple[str, bool]]:
    """Names of the wanted outputs in their order, and whether each is binary. Raises WrongField."""
    known = [output.name for output in metadata_of(description)]
    default = request.parameters.binary_data_output
    for index, output in enumerate(request.outputs):
        if output.name not in known:
            raise WrongField(f"outputs[{index}].name: must be one of {', '.join(known)}")
        for name, fix in _REFUSED.items():
            if (output.parameters.model_extra or {}).get(name):
                raise WrongField(f"outputs[{index}].parameters.{name}: is not supported; {fix}")
    if not request.outputs:
        return [(name, default) for name in known]
    wanted = ((output.name, output.parameters.binary_data) for output in request.outputs)
    return [(name, default if binary is None else binary) for name, binary in wanted]
