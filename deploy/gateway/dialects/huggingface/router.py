"""The paths of Hugging Face's Inference API."""

from typing import Annotated

from fastapi import Header
from fastapi.responses import JSONResponse

from labelstream.deploy.gateway.dialects.huggingface.bodies import InferenceBody
from labelstream.deploy.gateway.dialects.huggingface.tasks import (
    Labels,
    LabelScore,
    TokenFill,
    answer_of,
    requests_of,
    tasks_of,
)
from labelstream.deploy.gateway.envelopes import BY_MODEL, DialectRouter, PlainError, plain_error
from labelstream.deploy.gateway.served import Model, Served, TooManyTexts, UnknownPath, shown
from labelstream.deploy.gateway.texts import all_answered, prompt_of, refuse_blank, refuse_labels
from labelstream.deploy.gateway.truncation import Truncation
from labelstream.workers.engine.description import TaskName

UserAgent = Annotated[str, Header()]
Output = (
    list[LabelScore]
    | list[list[LabelScore]]
    | Labels
    | list[Labels]
    | list[TokenFill]
    | list[list[TokenFill]]
    | list[list[list[TokenFill]]]
    | list[list[float]]
)


def router(served: Served) -> DialectRouter:
    """`POST /`, `/models/NAME` and `/models/NAME/pipeline/TASK`."""
    routes = DialectRouter(plain_error, PlainError, by_model=False)

    @routes.post("/", response_model=Output)
    async def infer(body: InferenceBody, user_agent: UserAgent = "") -> JSONResponse:
        """Answer one text or a list of texts, by the first model that takes the parameters."""
        return await _answer(served, body, await served.model(None, tasks_of(body.chosen)), user_agent)

    @routes.post(BY_MODEL, response_model=Output)
    async def infer_by_model(model: str, body: InferenceBody, user_agent: UserAgent = "") -> JSONResponse:
        """Answer one text or a list of texts, by the model's task."""
        return await _answer(served, body, await served.model(model, tuple(TaskName)), user_agent)

    @routes.post(f"{BY_MODEL}/pipeline/{{task}}", response_model=Output)
    async def infer_by_task(model: str, task: str, body: InferenceBody, user_agent: UserAgent = "") -> JSONResponse:
        """Answer one text or a list of texts. A model of another task is refused."""
        return await _answer(served, body, await served.model(model, [_task(task)]), user_agent)

    return routes


async def _answer(served: Served, body: InferenceBody, model: Model, user_agent: str) -> JSONResponse:
    given, in_list = body.chosen, isinstance(body.inputs, list)
    TooManyTexts.check(len(body.texts), served.max_texts)
    requests = requests_of(body, model.description)
    texts = [request.text for request in requests]
    refuse_blank(texts, "inputs")
    refuse_labels(requests[0].candidate_labels, requests[0].hypothesis_template, texts)
    if prompt := prompt_of(model.description, given.prompt_name):
        requests = [request._replace(text=prompt + request.text) for request in requests]
    answers = all_answered(await served.answer(model, requests), "inputs")
    truncation = Truncation(False not in (given.truncate, given.truncation), given.truncation_direction)
    truncation.check(answers, model.description, "inputs", in_list)
    return JSONResponse(answer_of(body, model.description.task, answers, user_agent))


def _task(name: str) -> TaskName:
    try:
        return TaskName(name)
    except ValueError:
        raise UnknownPath(f"unknown task {shown(name)}; the tasks are {', '.join(TaskName)}") from None
