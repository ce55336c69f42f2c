"""Formats the engine's answers for `labelstream classify`: JSON fields, table cells or columns."""

import json
from collections.abc import Container, Mapping
from typing import Any

from labelstream.deploy.cli.common.console import escape
from labelstream.deploy.cli.models.texts import Text


def as_fields(answer: Any) -> dict[str, Any]:
    """The JSON fields of an answer."""
    from labelstream.workers.classifier import Embedding, MaskFill, RecordError

    found: dict[str, Any]
    match answer:
        case RecordError():
            return {"error": answer.fault.value, "message": answer.message}
        case MaskFill():
            found = {"masks": [[fill._asdict() for fill in fills] for fills in answer.masks]}
        case Embedding():
            found = {"embedding": answer.vector}
        case _:
            scores = [{"label": one, "score": score} for one, score in zip(answer.labels, answer.scores, strict=True)]
            found = {**scores[0], "scores": scores}
    return {**found, "tokens": answer.tokens, "truncated": answer.truncated}


def as_cells(answer: Any) -> dict[str, str]:
    """The table cells of an answer: labels and scores (best first), the words of masks, or a vector."""
    from labelstream.workers.classifier import Embedding, MaskFill, RecordError

    match answer:
        case RecordError():
            return {"error": answer.fault.value}
        case MaskFill():
            pairs = [(fill.token, fill.score) for fills in answer.masks for fill in fills]
        case Embedding():
            return {"embedding": json.dumps(answer.vector)}
        case _:
            pairs = list(zip(answer.labels, answer.scores, strict=True))
    cells: dict[str, str] = {}
    for number, (label, score) in enumerate(pairs, 1):
        suffix = "" if number == 1 else f"_{number}"
        cells |= {f"label{suffix}": label, f"score{suffix}": f"{score:.6g}"}
    return cells


def beside(fields: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` and `added` together. An added name that `fields` has becomes `predicted_...`."""
    return {**fields, **renamed(added, fields)}


def renamed(added: Mapping[str, Any], taken: Container[str]) -> dict[str, Any]:
    """`added`, with `predicted_` before each name in `taken`."""
    return {f"predicted_{name}" if name in taken else name: value for name, value in added.items()}


def as_json(text: Text, answer: Any) -> str:
    return json.dumps(beside(text.fields, as_fields(answer)))


def as_columns(text: Text, answer: Any) -> str:
    return "  ".join(f"{escape(label):<20}" for label in _labels(answer)) + f"  {escape(text.text)}"


def as_tabs(text: Text, answer: Any) -> str:
    # Tabs and line breaks of the text are escaped: they separate cells and lines here.
    return "\t".join([*(escape(label) for label in _labels(answer)), escape(text.text)])


def _labels(answer: Any) -> list[str]:
    from labelstream.workers.classifier import Embedding, MaskFill, RecordError

    match answer:
        case RecordError():
            return [f"! {answer.fault.value}"]
        case MaskFill():
            return [f"{fill.token} {fill.score:.4f}" for fills in answer.masks for fill in fills]
        case Embedding():
            return [f"{number:.6g}" for number in answer.vector]
        case _:
            return [f"{label} {score:.4f}" for label, score in zip(answer.labels, answer.scores, strict=True)]
