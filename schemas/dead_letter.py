"""What goes to the dead-letter topic: the record as it came, with the reason in its headers.

The `__connect.errors.*` names are Kafka Connect's (`DeadLetterQueueReporter`), so that tools made for it work.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

OURS, CONNECT = "labelstream.", "__connect.errors."  # what the names of a dead letter's headers begin with
REASON, ATTEMPTS, REDRIVEN = "labelstream.reason", "labelstream.attempts", "labelstream.redriven"
VALUE_OMITTED, KEY_MADE = "labelstream.value_omitted", "labelstream.key_made"
HEADERS_OMITTED = "labelstream.headers_omitted"
UNREAD = "unread"  # in its place: the value was not had


class Reason(StrEnum):
    """Why a record got no result."""

    INVALID_ENCODING = "invalid_encoding"
    INVALID_JSON = "invalid_json"
    INVALID_TEXT = "invalid_text"
    INVALID_MESSAGE = "invalid_message"
    INVALID_RECORD = "invalid_record"
    EMPTY_TEXT = "empty_text"
    TOO_LARGE = "too_large"
    TOMBSTONE = "tombstone"
    INVALID_LABELS = "invalid_labels"
    UNKNOWN_MODEL = "unknown_model"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    RESULT_TOO_LARGE = "result_too_large"
    RESULT_REFUSED = "result_refused"
    INFERENCE_FAILED = "inference_failed"
    CRASHES_MODEL = "crashes_model"
    TIMED_OUT = "timed_out"
    CRASHES_WORKER = "crashes_worker"


class Stage(StrEnum):
    """Where in a message's life it failed."""

    DECODE = "decode"
    CLASSIFY = "classify"
    ENCODE = "encode"


class DeadLetterHeaders(BaseModel):
    """The headers of a dead letter, all of them strings in UTF-8; key, value and own headers stay untouched.

    `attempts` counts over all redrives of the record, `redriven` stands only after the first. `value_omitted` stands
    only where the dead-letter topic cannot take the value, or it could not be read; the record's value is empty then.
    `headers_omitted` stands only where its own headers are left out: they are too many, or do not fit.
    `key_made` stands only where the dead-letter topic takes no record without a key, and the input has none: the key is
    the input's TOPIC-PARTITION-OFFSET then.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, title="DeadLetter")

    topic: str = Field(serialization_alias="__connect.errors.topic")
    partition: str = Field(serialization_alias="__connect.errors.partition", pattern=r"^\d+$")
    offset: str = Field(serialization_alias="__connect.errors.offset", pattern=r"^\d+$")
    stage: Stage = Field(serialization_alias="__connect.errors.stage")
    class_name: str = Field(serialization_alias="__connect.errors.class.name")
    exception_class_name: str = Field(serialization_alias="__connect.errors.exception.class.name")
    exception_message: str = Field(serialization_alias="__connect.errors.exception.message")
    reason: Reason = Field(serialization_alias=REASON)
    attempts: str = Field(serialization_alias=ATTEMPTS, pattern=r"^[1-9]\d*$")
    model: str = Field(serialization_alias="labelstream.model")
    version: str = Field(serialization_alias="labelstream.version")
    redriven: str | None = Field(
        None,
        serialization_alias=REDRIVEN,
        pattern=r"^[1-9]\d*$",
        description="How many times the record had been sent back from the dead-letter topic before.",
    )
    value_omitted: str | None = Field(
        None,
        serialization_alias=VALUE_OMITTED,
        pattern=r"^(bytes=\d+;sha256=[0-9a-f]{64}|unread)$",
        description="Length and SHA-256 of a value that the dead-letter topic could not take; `unread` where it could "
        "not be read, nor could key and headers.",
    )
    headers_omitted: str | None = Field(
        None,
        serialization_alias=HEADERS_OMITTED,
        pattern=r"^count=\d+;bytes=\d+$",
        description="Number and bytes of the record's own headers, where they are left out.",
    )
    key_made: str | None = Field(
        None,
        serialization_alias=KEY_MADE,
        pattern="^true$",
        description="The key is no key of the input, but made for a topic that takes no record without one.",
    )

    def headers(self) -> list[tuple[str, bytes]]:
        """As Kafka headers, in the order above."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return [(name, value.encode("utf-8", "backslashreplace")) for name, value in fields.items()]
