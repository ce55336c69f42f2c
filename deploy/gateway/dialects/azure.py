"""Azure ML's online endpoint for text classification: three shapes of a body, and a model named by a header."""

from typing import Annotated, Any, Self

from fastapi import Depends, Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from labelstream.deploy.gateway.envelopes import DialectRouter, path_model
from labelstream.deploy.gateway.served import RequestRefused, Served, TooManyTexts
from labelstream.deploy.gateway.shapes import one_of
from labelstream.deploy.gateway.texts import all_answered, refuse_blank
from labelstream.workers.classifier import Answered, Prediction, Request
from labelstream.workers.engine.description import TaskName

_TASKS = (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT)
Texts = Annotated[list[StrictStr], Field(fail_fast=True)]
_ONE = "give one of input_data and inputs"
_ALL = 2**31 - 1  # above the number of any model's labels


class InputString(BaseModel):
    """The texts in the older shapes."""

    input_string: Texts


class Params(BaseModel):
    """Arguments of transformers' pipeline. Others have no effect."""

    return_all_scores: StrictBool = Field(default=False, description="All labels of each text, best first.")
    top_k: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="The best labels of each text, as a list; null: all labels."
    )

    def wanted(self) -> int | None:
        """The number of labels for each text. None: the best label alone, outside of a list."""
        if "top_k" in self.model_fields_set:
            return _ALL if self.top_k is None else self.top_k
        return _ALL if self.return_all_scores else None


class ScoreRequest(BaseModel):
    """One of `{"input_data": [TEXT, ..]}`, `{"inputs": {"input_string": [..]}}`, `{"input_data": {"input_string":
    [..]}}`.
    """

    input_data: Annotated[Texts | InputString | None, one_of('a list of texts, or {"input_string": [..]}')] = None
    inputs: InputString | None = None
    params: Params = Params()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.input_data is None and self.inputs is None:
            raise PydanticCustomError("missing", _ONE, {"fields": ["input_data", "inputs"]})
        if self.input_data is not None and self.inputs is not None:
            raise ValueError(_ONE)
        return self

    def texts(self) -> tuple[str, list[str]]:
        """The name of the field with the texts, and the texts."""
        match self.input_data or self.inputs:
            case InputString(input_string=texts):
                return ("input_data" if self.inputs is None else "inputs") + ".input_string", texts
            case texts:
                return "input_data", texts or []


class ErrorMessage(BaseModel):
    """The body of an error."""

    message: str


class LabelScore(BaseModel):
    """A label with its score."""

    label: str
    score: float


def router(served: Served) -> DialectRouter:
    """`POST /score`."""
    routes = DialectRouter(error_body, ErrorMessage)

    @routes.post("/score", response_model=list[LabelScore] | list[list[LabelScore]] | list[dict[str, str]])
    async def score(
        body: ScoreRequest,
        model: Annotated[str | None, Depends(path_model)],
        azureml_model_deployment: Annotated[
            str | None, Header(description="The model, without one in the path.")
        ] = None,
    ) -> JSONResponse:
        """Classify texts in the shapes of Azure ML's online endpoints."""
        field, texts = body.texts()
        TooManyTexts.check(len(texts), served.max_texts)
        refuse_blank(texts, field)
        found = await served.model(model or azureml_model_deployment, _TASKS)
        wanted = body.params.wanted()
        answers = all_answered(await served.answer(found, [Request(text, top_k=wanted or 1) for text in texts]), field)
        if isinstance(body.input_data, InputString):
            return JSONResponse([{"0": _scores(answer)[0]["label"]} for answer in answers])
        return JSONResponse([_scores(answer) if wanted else _scores(answer)[0] for answer in answers])

    return routes


def error_body(error: RequestRefused) -> dict[str, Any]:
    """As the inference server of Azure ML."""
    return {"message": error.message}


def _scores(answer: Answered) -> list[dict[str, Any]]:
    assert isinstance(answer, Prediction)
    return [{"label": label, "score": score} for label, score in zip(answer.labels, answer.scores, strict=True)]
