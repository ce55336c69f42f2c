"""`labelstream schema`: the payloads' JSON Schemas."""

from enum import StrEnum
from typing import Annotated

import typer


class Payload(StrEnum):
    RESULT = "result"
    MESSAGE = "message"
    DEAD_LETTER = "dead-letter"


def schema(payload: Annotated[Payload, typer.Argument(help="Which payload.")] = Payload.RESULT) -> None:
    """Print the JSON Schema of a payload.

    `message`: what input topics carry. `result`: what output topics carry. `dead-letter`: the headers of a dead letter.
    """
    from labelstream.schemas.export import render

    typer.echo(render(payload.value), nl=False)
