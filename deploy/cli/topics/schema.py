"""`labelstream schema`: prints the JSON Schemas of the payloads and of the config."""

from enum import StrEnum
from typing import Annotated

import typer


class Schema(StrEnum):
    RESULT = "result"
    ENRICHMENT = "enrichment"
    ANSWERS = "answers"
    ANSWERS_ENRICHMENT = "answers-enrichment"
    MESSAGE = "message"
    DEAD_LETTER = "dead-letter"
    REQUEST_ERROR = "request-error"
    CONFIG = "config"


def schema(
    name: Annotated[Schema, typer.Argument(metavar="NAME", help="The schema to print.")] = Schema.RESULT,
) -> None:
    """Print the JSON Schema of a payload, or of the config file.

    `message`: the records of input topics. `result`: the records of output topics. `enrichment`: what `output_shape:
    enrich` adds to a record. `answers` and `answers-enrichment`: both of these for records with a list of texts.
    `dead-letter`: the headers of dead letters. `request-error`: the body of an error of POST /classify. `config`: the
    config file; editors complete and check the file with this schema.
    """
    if name is Schema.CONFIG:
        from labelstream.workers.config.schema import render

        typer.echo(render(), nl=False)
        return
    from labelstream.schemas.export import render as render_payload

    typer.echo(render_payload(name.value), nl=False)
