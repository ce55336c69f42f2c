import pytest
from pydantic import ValidationError

from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.request_error import RequestError, RequestReason


@pytest.mark.parametrize("reason", [Reason.EMPTY_TEXT, RequestReason.BUSY])
def test_reason_is_of_a_dead_letter_or_of_a_request(reason: Reason | RequestReason) -> None:
    error = RequestError(reason=reason, message="why")
    assert error.model_dump(mode="json") == {"schema_version": 1, "reason": reason.value, "message": "why"}


def test_reasons_of_requests_are_no_reasons_of_dead_letters() -> None:
    assert set(map(str, Reason)) & set(map(str, RequestReason)) == set()


def test_unknown_reason_is_refused() -> None:
    with pytest.raises(ValidationError):
        RequestError.model_validate({"reason": "other", "message": "why"})
