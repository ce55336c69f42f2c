"""The paths of text-embeddings-inference."""

from typing import Annotated, Any

from fastapi import Depends, Response
from fastapi.responses import JSONResponse

from labelstream.deploy.gateway.dialects.tei.bodies import EmbedBody, PredictBody, Score
from labelstream.deploy.gateway.dialects.tei.errors import EmptyBatch, ErrorResponse, error_body
from labelstream.deploy.gateway.dialects.tei.info import DEFAULT_LIMITS, Info, Limits, info_of
from labelstream.deploy.gateway.dialects.tei.metrics import CONTENT_TYPE, TeiMetrics
from labelstream.deploy.gateway.envelopes import DialectRouter, path_model
from labelstream.deploy.gateway.served import Model, NotReady, Served, TooManyTexts, UnknownModel
from labelstream.deploy.gateway.texts import all_answered, prompt_of, refuse_blank
from labelstream.deploy.gateway.truncation import Truncation
from labelstream.workers.classifier import Answered, Embedding, Prediction, Request
from labelstream.workers.engine.description import Activation, ModelDescription, TaskName
from labelstream.workers.engine.tasks.base import label_limit

PathModel = Annotated[str | None, Depends(path_model)]
_TEXT = {"schema": {"type": "string"}}
_TASKS = (TaskName.TEXT_CLASSIFICATION, TaskName.EMBEDDING)


def router(served: Served, limits: Limits = DEFAULT_LIMITS) -> DialectRouter:
    """`POST /predict`, `/embed`, `GET /info`, `/health`, `/metrics`."""
    routes, metrics = DialectRouter(error_body, ErrorResponse), TeiMetrics()

    async def answers_to(
        kind: str, body: PredictBody | EmbedBody, model: Model, requests: list[Request]
    ) -> list[Answered]:
        refuse_blank([sequence.text for sequence in body.sequences], "inputs")
        answers = all_answered(await served.answer(model, requests), "inputs")
        metrics.answered(kind, answers)
        truncation = Truncation(body.truncate is not False, body.truncation_direction)
        truncation.check(answers, model.description, "inputs", body.in_batch)
        return answers

    @routes.post("/predict", response_model=list[Score] | list[list[Score]])
    async def predict(body: PredictBody, name: PathModel) -> JSONResponse:
        """Classify a text, a pair of texts, or a batch of both."""
        with metrics.request("predict", body.in_batch):
            TooManyTexts.check(body.count, served.max_texts)
            model = await served.model(name, [TaskName.TEXT_CLASSIFICATION])
            found = await answers_to("predict", body, model, _predict_requests(body, model.description))
            scores = [_scores(answer) for answer in found if isinstance(answer, Prediction)]
            return JSONResponse(scores if body.in_batch else scores[0])

    @routes.post("/embed", response_model=list[list[float]])
    async def embed(body: EmbedBody, name: PathModel) -> JSONResponse:
        """Embed a text or a list of texts."""
        with metrics.request("embed", body.in_batch):
            TooManyTexts.check(body.count, served.max_texts)
            if not body.count:
                raise EmptyBatch("inputs: the list is empty; send at least one text")
            model = await served.model(name, [TaskName.EMBEDDING])
            prompt = prompt_of(model.description, body.prompt_name)
            options = Request("", dimensions=body.dimensions, normalize=body.normalize)
            requests = [options._replace(text=prompt + sequence.text) for sequence in body.sequences]
            found = await answers_to("embed", body, model, requests)
            return JSONResponse([answer.vector for answer in found if isinstance(answer, Embedding)])

    @routes.get("/info", response_model=Info)
    async def info(name: PathModel) -> Info:
        """A model that classifies or embeds, and the limits of its requests."""
        return info_of(await served.model(name, _TASKS), limits)

    @routes.get("/health", response_class=Response)
    async def health(name: PathModel) -> Response:
        """Whether the models answer."""
        if name is not None and name not in served.models():
            raise UnknownModel.of(name, served.models())
        if not await served.ready(name):
            raise NotReady("unhealthy")
        return Response()

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": _TEXT}}})
    async def show_metrics() -> Response:
        """Metrics of these paths, in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _predict_requests(body: PredictBody, description: ModelDescription) -> list[Request]:
    top_k = label_limit(description)  # all labels
    function = Activation.NONE.value if body.raw_scores else None
    return [Request(*sequence, top_k, function_to_apply=function) for sequence in body.sequences]


def _scores(answer: Prediction) -> list[dict[str, Any]]:
    return [{"score": score, "label": label} for label, score in zip(answer.labels, answer.scores, strict=True)]
