"""Checks what a message asks of its model, and makes the request."""

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Request
from labelstream.workers.settings.limits import LimitSettings
from labelstream.workers.stream.codec.rejection import DecodeError


def check_message(message: TextMessage, limits: LimitSettings) -> None:
    """Raises DecodeError if the text is blank, or the labels or their template are wrong or beyond `limits`."""
    if not message.text or message.text.isspace():
        raise DecodeError(Reason.EMPTY_TEXT, "the text is empty or blank")
    if message.hypothesis_template is not None and len(message.hypothesis_template) > limits.max_label_chars:
        raise DecodeError(
            Reason.INVALID_LABELS,
            f"hypothesis_template is longer than limits.max_label_chars ({limits.max_label_chars})",
        )
    if message.candidate_labels is not None:
        _check_labels(message.candidate_labels, len(message.text), limits)


def request_of(message: TextMessage) -> Request:
    """What the message asks of its model."""
    labels = message.candidate_labels
    return Request(
        message.text,
        message.text_pair,
        message.top_k,
        None if labels is None else tuple(labels),
        message.hypothesis_template,
        message.multi_label,
    )


def _check_labels(labels: list[str], text_chars: int, limits: LimitSettings) -> None:
    problem = None
    if not labels:
        problem = "candidate_labels is empty"
    elif len(labels) > limits.max_candidate_labels:
        problem = f"{len(labels)} candidate labels exceed limits.max_candidate_labels ({limits.max_candidate_labels})"
    elif any(len(label) > limits.max_label_chars for label in labels):
        problem = f"a candidate label is longer than limits.max_label_chars ({limits.max_label_chars})"
    elif any(not label or label.isspace() for label in labels):
        problem = "a candidate label is empty or blank"
    elif len(set(labels)) != len(labels):
        problem = "candidate labels repeat; name each label once"
    elif len(labels) * text_chars > limits.max_label_text_chars:
        problem = f"labels x text characters exceed limits.max_label_text_chars ({limits.max_label_text_chars})"
    if problem:
        raise DecodeError(Reason.INVALID_LABELS, problem)
