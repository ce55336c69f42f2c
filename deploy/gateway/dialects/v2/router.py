"""The paths of the Open Inference Protocol V2."""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from labelstream.deploy.gateway.dialects.v2.bodies import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    OutputTensor,
    Ready,
    ServerMetadata,
    TensorMetadata,
    schema_of,
)
from labelstream.deploy.gateway.dialects.v2.outputs import metadata_of, outputs_of, requested
from labelstream.deploy.gateway.dialects.v2.tensors import BYTES, Output, read_texts
from labelstream.deploy.gateway.envelopes import DialectRouter, PlainError, plain_error
from labelstream.deploy.gateway.served import Model, Served, TooManyTexts, UnknownModel, WrongField, shown
from labelstream.deploy.gateway.texts import all_answered, refuse_blank, refuse_labels
from labelstream.workers.classifier import Request as TextRequest
from labelstream.workers.engine.description import TaskName

JSON_LENGTH = "Inference-Header-Content-Length"
_INPUTS = {"text", "text_pair", "candidate_labels"}
_BODY = {"required": True, "content": {"application/json": {"schema": schema_of(InferRequest)}}}
_LABELS = (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT)


def router(served: Served) -> DialectRouter:
    """`/v2` and the paths below."""
    routes = DialectRouter(plain_error, PlainError, by_model=False)

    @routes.get("/v2")
    async def server() -> ServerMetadata:
        """Name, version and extensions of the server."""
        return ServerMetadata(version=version("labelstream"))

    @routes.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Whether the gateway runs."""
        return {"live": True}

    @routes.get("/v2/health/ready", response_model=Ready, responses={503: {"model": Ready}})
    async def ready() -> JSONResponse:
        """Whether all models are ready."""
        is_ready = await served.ready()
        return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)

    @routes.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """Names of all models."""
        return {"models": list(served.models())}

    @routes.get("/v2/models/{model}/ready", response_model=ModelReady, responses={503: {"model": ModelReady}})
    @routes.get("/v2/models/{model}/versions/{model_version}/ready", include_in_schema=False)
    async def model_ready(model: str) -> JSONResponse:
        """Whether the model is ready."""
        if model not in served.models():
            raise UnknownModel.of(model, served.models())
        is_ready = await served.ready(model)
        return JSONResponse({"name": model, "ready": is_ready}, 200 if is_ready else 503)

    @routes.get("/v2/models/{model}")
    @routes.get("/v2/models/{model}/versions/{model_version}", include_in_schema=False)
    async def model_metadata(model: str, model_version: str | None = None) -> ModelMetadata:
        """Version, inputs and outputs of the model."""
        found = await _model(served, model, model_version)
        inputs = ["text", *(["candidate_labels"] if found.description.task == TaskName.ZERO_SHOT else [])]
        return ModelMetadata(
            name=found.name,
            versions=[found.description.revision],
            inputs=[TensorMetadata(name=name, datatype=BYTES, shape=[-1]) for name in inputs],
            outputs=metadata_of(found.description),
        )

    @routes.post("/v2/models/{model}/infer", response_model=InferResponse, openapi_extra={"requestBody": _BODY})
    @routes.post("/v2/models/{model}/versions/{model_version}/infer", include_in_schema=False)
    async def infer(
        request: Request,
        model: str,
        model_version: str | None = None,
        inference_header_content_length: Annotated[
            str | None, Header(description="Bytes of the JSON, with binary data behind it.")
        ] = None,
    ) -> Response:
        """Labels and scores, or embeddings, of texts."""
        body, binary = _split(await request.body(), inference_header_content_length)
        asked = _parse(body)
        found = await _model(served, model, model_version)
        wanted = requested(asked, found.description)
        shape, requests = _requests(asked, binary, found, served.max_texts)
        answers = all_answered(await served.answer(found, requests), "inputs.text")
        return _response(asked, found, outputs_of(answers, shape, asked.parameters.top_k), wanted)

    return routes


async def _model(served: Served, name: str, model_version: str | None) -> Model:
    """Raises UnknownModel, also for another version than the model's revision."""
    found = await served.model(name, tuple(TaskName))
    if model_version not in (None, found.description.revision):
        raise UnknownModel(f"{found.name}: no version {shown(str(model_version))}; leave the version out")
    return found


def _split(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    """The JSON and the binary data. Raises WrongField."""
    if json_length is None:
        return body, b""
    if not (
        json_length.isascii() and json_length.isdigit() and len(json_length) < 18 and int(json_length) <= len(body)
    ):
        raise WrongField(f"{JSON_LENGTH}: must be a number of bytes from 0 to {len(body)}, the length of the body")
    return body[: int(json_length)], body[int(json_length) :]


def _parse(body: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from None


def _requests(asked: InferRequest, binary: bytes, model: Model, max_texts: int) -> tuple[list[int], list[TextRequest]]:
    """The shape of the texts, and their requests. Raises WrongField and TooManyTexts."""
    tensors = read_texts(asked, binary)
    for index, tensor in enumerate(asked.inputs):
        if tensor.name not in _INPUTS:
            raise WrongField(f"inputs[{index}].name: must be text, text_pair or candidate_labels")
    if "text" not in tensors:
        raise WrongField("inputs: the input text is missing")
    shape, texts = tensors["text"]
    if not texts or shape not in ([len(texts)], [len(texts), 1]):
        raise WrongField("inputs: the shape of text must be [n] or [n, 1], with n from 1")
    TooManyTexts.check(len(texts), max_texts)
    refuse_blank(texts, "inputs.text")
    pair_shape, pairs = tensors.get("text_pair", (shape, [None] * len(texts)))
    if pair_shape != shape:
        raise WrongField("inputs: text_pair must have the shape of text")
    labels = tuple(tensors["candidate_labels"][1]) if "candidate_labels" in tensors else None
    parameters = asked.parameters
    refuse_labels(labels, parameters.hypothesis_template, texts)
    default = 1 if model.description.task in _LABELS else None
    options = TextRequest(
        "",
        top_k=default if parameters.top_k is None else parameters.top_k,
        candidate_labels=labels,
        hypothesis_template=parameters.hypothesis_template,
        multi_label=parameters.multi_label,
        function_to_apply=parameters.function_to_apply,
        dimensions=parameters.dimensions,
        normalize=parameters.normalize,
    )
    return shape, [options._replace(text=text, text_pair=pair) for text, pair in zip(texts, pairs, strict=True)]


def _response(asked: InferRequest, model: Model, outputs: list[Output], wanted: list[tuple[str, bool]]) -> Response:
    by_name = {output.name: output for output in outputs}
    tensors: list[OutputTensor] = []
    binary: list[bytes] = []
    for name, is_binary in wanted:
        output = by_name[name]
        tensor = OutputTensor(name=name, datatype=output.datatype, shape=output.shape)
        if is_binary:
            binary.append(output.binary())
            tensor.parameters = {"binary_data_size": len(binary[-1])}
        else:
            tensor.data = output.values
        tensors.append(tensor)
    response = InferResponse(
        model_name=model.name, model_version=model.description.revision, id=asked.id, outputs=tensors
    )
    body = response.model_dump_json(exclude_none=True).encode()
    if not binary:
        return Response(body, media_type="application/json")
    headers: dict[str, Any] = {JSON_LENGTH: str(len(body))}
    return Response(b"".join([body, *binary]), 200, headers, "application/octet-stream")
