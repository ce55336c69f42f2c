"""The fields of an input message."""

import pytest
from pydantic import ValidationError

from labelstream.schemas.message import TextMessage


def test_message_is_strict_and_keeps_unknown_fields() -> None:
    message = TextMessage.model_validate({"text": "a", "stars": 5})
    assert message.model_extra == {"stars": 5}
    for wrong in ({"text": 5}, {}, {"text": "a", "top_k": 0}, {"text": "a", "metadata": []}, {"text": "a", "id": 1.5}):
        with pytest.raises(ValidationError):
            TextMessage.model_validate(wrong)
