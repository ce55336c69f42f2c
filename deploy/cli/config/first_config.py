"""The text of a first config: valid as written, with comments on the most common settings."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from labelstream.deploy.cli.common.arguments import DEMO_MODEL

_CONFIG = """\
# yaml-language-server: $schema={schema}
# The line above lets an editor complete and check this file; `labelstream schema config` prints that schema.
# A key after # is an example: remove the # to use it.

kafka:
  bootstrap_servers: {bootstrap}    # HOST:PORT; several brokers with commas between them
  # TLS and login. The password is in a file, or in LABELSTREAM_KAFKA__SECURITY__PASSWORD.
  # security:
  #   protocol: SASL_SSL
  #   sasl_mechanism: SCRAM-SHA-512
  #   username: labelstream
  #   password_file: /run/secrets/kafka-password
  #   ca_file: kafka-ca.pem    # paths are relative to this file

models:
  {name}:
    # A directory, relative to this file, or a model of the Hugging Face hub.
    source: {source}{note}
    # revision: 714eb0fa89d2f80546fda750413ed43d93601a13    # of a hub model: always this commit
    # device: cpu    # default: a GPU if this machine has one
    # top_k: 5    # labels in each result; null: all
    # label_names: {{LABEL_0: info, LABEL_1: error}}    # new names of labels
    # max_length: 512    # tokens; longer texts are cut, see long_text
    # replicas: {{min: 1, max: 4}}    # the backlog decides how many

pipelines:
  {pipeline}:
    input: {input}    # or a list of topics, or {{pattern: 'logs[.].*'}} for all that match
    output: {output}
    dead_letter: {dead_letter}    # messages that cannot be classified, with the reason
    model: {name}
    # format: text    # default: json, as {{"text": "..."}}
    # text_field: event.message    # where the text is in other JSON
    # fields: {{text: event.message, id: event.id, metadata: [event.level]}}    # or where all of it is
    # only_if: {{field: event.level, in: [error, fatal]}}    # which records are classified
    # output_shape: enrich    # the record as it came, with the answer added; default: a result
    # route: [{{label: NEGATIVE, min_score: 0.9, topic: {input}.urgent}}]    # other topics for some results
    # delivery: exactly_once    # default: at_least_once
    # start_from: latest    # default: earliest, the oldest message
    # workers: {{min: 1, max: 4}}    # each partition of the inputs has one worker
    # max_lag_s: 30    # seconds that a message may wait; decides on replicas and workers
"""


class Choices(NamedTuple):
    """The options of `labelstream init`. None: the demo's model, and topics named after `input`."""

    bootstrap: str
    input: str
    output: str | None = None
    dead_letter: str | None = None
    model: str | None = None


def render(choices: Choices, file: Path) -> str:
    """The text of the config `file`."""
    from labelstream.schemas.export import FOLDER

    stem = choices.input.split(".")[0]
    demo = choices.model is None
    return _CONFIG.format(
        schema=(FOLDER / "config.schema.json").as_uri(),
        bootstrap=_scalar(choices.bootstrap),
        name="sentiment" if demo else "classifier",
        source=_scalar(str(DEMO_MODEL) if choices.model is None else _source(choices.model, file)),
        note="    # the demo's model: small, English, POSITIVE or NEGATIVE" if demo else "",
        pipeline=_scalar(re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:50].strip("-_") or "pipeline"),
        input=_scalar(choices.input),
        output=_scalar(choices.output or f"{stem}.labels"),
        dead_letter=_scalar(choices.dead_letter or f"{stem}.dlq"),
    )


def _source(model: str, file: Path) -> str:
    """A directory beside or below the file becomes a path relative to the file."""
    folder = Path(os.path.abspath(os.path.expanduser(model)))
    if not folder.is_dir():
        return model
    parent = file.absolute().parent
    return f"./{folder.relative_to(parent)}" if folder.is_relative_to(parent) else str(folder)


def _scalar(text: str) -> str:
    """The text as a YAML scalar, quoted where YAML would read something else."""
    try:
        plain = yaml.safe_load(f"key: {text}    # comment") == {"key": text}
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
