"""`labelstream schema`: the JSON Schemas of the payloads and of the config."""

from enum import StrEnum
from typing import Annotated

import typer


class Schema(StrEnum):
    RESULT = "result"
    MESSAGE = "message"
    DEAD_LETTER = "dead-letter"
    CONFIG = "config"


def schema(name: Annotated[Schema, typer.Argument(help="Which one.")] = Schema.RESULT) -> None:
    """Print the JSON Schema of a payload, or of the config file.

    `message`: what input topics carry. `result`: what output topics carry. `dead-letter`: the headers of a dead letter.
    `config`: what a config file may hold; an editor completes and checks the file by it.
    """
    if name is Schema.CONFIG:
        from labelstream.workers.config.schema import render

        typer.echo(render(), nl=False)
        return
    from labelstream.schemas.export import render as render_payload

    typer.echo(render_payload(name.value), nl=False)
