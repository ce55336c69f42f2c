"""`labelstream predict`: classifies with the models of a running Labelstream, over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from labelstream.deploy.cli.common.console import announced
from labelstream.deploy.cli.models.answer_texts import (
    Ask,
    Input,
    Json,
    Labels,
    Output,
    Template,
    TextField,
    TextOptions,
    Texts,
    TopK,
    answer_texts,
    check_template,
)
from labelstream.workers.errors import ConfigError

TOKEN = "LABELSTREAM_HTTP__TOKEN"  # noqa: S105 - the name of a variable, the config's own


def predict(
    texts: Texts = None,
    url: Annotated[
        str, typer.Option("--url", "-u", metavar="URL", help="Address of the HTTP gateway.")
    ] = "http://127.0.0.1:8000",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="The model, by its name in the config. Default: the gateway's default.",
        ),
    ] = None,
    input: Input = None,
    text_field: TextField = None,
    output: Output = None,
    label: Labels = None,
    template: Template = None,
    top_k: TopK = 1,
    json: Json = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"File with the gateway's token. Default: the variable {TOKEN}, if it is set."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM file of the authority that signed the gateway's certificate."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="Seconds that one request may take, with all retries.")
    ] = 60.0,
) -> None:
    """Classify texts over HTTP, with the models of a running Labelstream.

    Reads and prints what `labelstream classify` reads and prints. The config of the running Labelstream needs `http`.
    Exit code 1: at least one text has no answer, or the gateway refuses the request.
    """
    from labelstream.workers.classifier import Request

    options = TextOptions(texts, input, text_field, output, json)
    options.check()
    check_template(template, label)
    labels = tuple(label) if label else None
    asked = Request("", top_k=top_k, candidate_labels=labels, hypothesis_template=template)
    answer_texts(options, lambda: _client(url, model, _token(token_file), timeout, ca_file), asked)


@contextmanager
def _client(url: str, model: str | None, token: str | None, timeout_s: float, ca_file: Path | None) -> Iterator[Ask]:
    from labelstream.workers.client.client import Client

    try:
        client = Client(url, token=token, timeout_s=timeout_s, ca_file=ca_file)
    except ValueError as error:
        raise ConfigError("--url", str(error).partition("; ")[0], "give one such as http://localhost:8000") from None
    except OSError as error:
        raise ConfigError("--ca-file", f"{ca_file} cannot be read ({error})", "give a PEM file") from None
    with client, announced(f"waiting for {url}"):
        yield lambda requests: client.classify(requests, model)


def _token(file: Path | None) -> str | None:
    from labelstream.workers.config_file import secret_of
    from labelstream.workers.settings.application import Settings

    if file is not None:
        return secret_of(None, file, "--token-file")
    http = Settings.environment().get("http")
    return http.get("token") if isinstance(http, dict) else None
