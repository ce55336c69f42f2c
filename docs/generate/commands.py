"""The commands of `labelstream` with their arguments and options, as the help has them."""

import re
from collections.abc import Iterator
from typing import Any

import typer

from docs.generate.markdown import code, item, paragraphs, sentence
from labelstream.deploy.cli.common.value_types import NAMES
from labelstream.deploy.cli.main import app

_NAME = "labelstream"
_EXTRA = re.compile(r"(.*?)\s*\[([^\[\]]*(?:default|required|<=|>=|<|>)[^\[\]]*)\]$", re.DOTALL)
_BOUNDS = re.compile(r"(?P<low>[\d.]+)<=?x<=?(?P<high>[\d.]+)|x(?P<above>>=?)(?P<bound>[\d.]+)")
_TYPE = re.compile(r" <([\w\[\] ]+)>$")
_CHOICES = re.compile(r" <([^<>]*\|[^<>]*)>$")
_SHELL_COMPLETION = {"--install-completion", "--show-completion"}


def commands() -> str:
    """One section for each command; a group comes before its commands."""
    return "\n\n".join(_sections(typer.main.get_command(app), _NAME, None))


def _sections(command: Any, name: str, above: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=name.split()[-1], parent=above)
    inner = getattr(command, "commands", {})
    if above is not None:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        yield "\n\n".join(
            [f"## {name}", paragraphs(command.help), f"```\n{usage}\n```", *_parameters(command, context)]
        )
    else:
        yield "\n\n".join(["## Options of all commands", *_parameters(command, context)])
    for inner_name, inner_command in inner.items():
        yield from _sections(inner_command, f"{name} {inner_name}", context)


def _parameters(command: Any, context: Any) -> list[str]:
    """One list of arguments and options; none where there is none but --help."""
    records = [
        (parameter, parameter.get_help_record(context))
        for parameter in command.get_params(context)
        if parameter.name != "help" and not _SHELL_COMPLETION & set(parameter.opts)
    ]
    items = [_item(*record) for _, record in records if record]
    return ["\n".join(items)] if items else []


def _item(names: str, told: str) -> str:
    found = _EXTRA.match(told)
    text, extra = found.groups() if found else (told, "")
    details = "".join(f" {_detail(part)}" for part in extra.split("; ") if part)
    is_option = names.startswith("-")
    if choices := _CHOICES.search(names):
        details = f" One of {', '.join(map(code, choices[1].split('|')))}.{details}"
        names = _CHOICES.sub(" VALUE" if is_option else "", names)
    value = _TYPE.sub(lambda kind: f" {NAMES.get(kind[1], 'TEXT')}" if is_option else "", names)
    return item(f"{code(value)}: {sentence(text.strip())}{details}")


def _detail(part: str) -> str:
    if part.startswith("default: "):
        return f"Default: {code(part.removeprefix('default: '))}."
    if bounds := _BOUNDS.fullmatch(part):
        low, above, high = bounds["low"], bounds["above"], bounds["high"]
        return f"From {low} to {high}." if low else f"{'Above' if above == '>' else 'From'} {bounds['bound']}."
    return "Required."
