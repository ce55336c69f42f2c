"""What a message asks of its model: checked, then a request."""

from typing import Any

import pytest

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Request
from labelstream.workers.settings.limits import LimitSettings
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.request import check_message, request_of

LIMITS = LimitSettings(max_candidate_labels=2, max_label_chars=4, max_label_text_chars=20)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"candidate_labels": []}, "candidate_labels is empty"),
        ({"candidate_labels": ["a", "b", "c"]}, "3 candidate labels exceed limits.max_candidate_labels (2)"),
        ({"candidate_labels": ["a", "label"]}, "longer than limits.max_label_chars (4)"),
        ({"candidate_labels": ["a", " "]}, "empty or blank"),
        ({"candidate_labels": ["a", "a"]}, "candidate labels repeat"),
        ({"candidate_labels": ["a", "b"], "text": "x" * 11}, "exceed limits.max_label_text_chars (20)"),
        ({"hypothesis_template": "a {}."}, "hypothesis_template is longer than limits.max_label_chars (4)"),
    ],
)
def test_labels_beyond_limits_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        check_message(TextMessage.model_validate({"text": "a", **fields}), LIMITS)
    assert caught.value.reason is Reason.INVALID_LABELS
    assert problem in caught.value.message


def test_message_within_limits_passes() -> None:
    fields = {"text": "x" * 10, "candidate_labels": ["a", "b"], "hypothesis_template": "{}"}
    check_message(TextMessage.model_validate(fields), LIMITS)


def test_request_has_all_that_message_asks_for() -> None:
    asked = {"text_pair": "b", "top_k": 2, "candidate_labels": ["x"], "hypothesis_template": "{}.", "multi_label": True}
    message = TextMessage.model_validate({"text": "a", **asked})
    assert request_of(message) == Request("a", "b", 2, ("x",), "{}.", True)
    assert request_of(TextMessage.model_validate({"text": "a"})) == Request("a")
