"""What a refusal says of its record, and that a decoding error becomes one."""

from labelstream.schemas.dead_letter import Reason, Stage
from labelstream.workers.stream.codec.rejection import DecodeError, Rejection


def test_decode_error_becomes_a_rejection_of_its_stage() -> None:
    error = DecodeError(Reason.INVALID_JSON, "no JSON at byte 3")
    assert str(error) == "no JSON at byte 3"
    assert error.rejection() == Rejection(
        Reason.INVALID_JSON, Stage.DECODE, "DecodeError", "no JSON at byte 3", attempts=1, model=""
    )
