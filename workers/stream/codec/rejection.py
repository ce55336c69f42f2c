"""Types of a rejection. The step that refuses a record chooses the reason.

These steps are record_batch/, batch_factory.py, the decoders and encoders of codec/, micro_batch.py and
codec/text_list.py (faults that a classifier names), crash_isolation/suspects.py and producer/send_errors.py.
"""

from typing import NamedTuple

from labelstream.schemas.dead_letter import Reason, Stage


class Rejection(NamedTuple):
    """Why one record becomes a dead letter. `message` never quotes the record's text."""

    reason: Reason
    stage: Stage
    error_class: str
    message: str
    attempts: int = 1
    model: str = ""


class DecodeError(Exception):
    """The record cannot be decoded because of its own content."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message

    def rejection(self) -> Rejection:
        return Rejection(self.reason, Stage.DECODE, type(self).__name__, self.message)
