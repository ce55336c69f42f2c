"""A dead letter: the unchanged input record, with the reason in its headers.

The `__connect.errors.*` names are Kafka Connect's (`DeadLetterQueueReporter`), so tools for Connect can read them.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

OURS, CONNECT = "labelstream.", "__connect.errors."  # prefixes of a dead letter's header names
REASON, ATTEMPTS, REDRIVEN = "labelstream.reason", "labelstream.attempts", "labelstream.redriven"
VALUE_OMITTED, KEY_MADE = "labelstream.value_omitted", "labelstream.key_made"
HEADERS_OMITTED = "labelstream.headers_omitted"
UNREAD = "unread"  # as `value_omitted`: the value could not be read


class Reason(StrEnum):
    """Why a record has no result."""

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
    """The step of processing in which a message failed."""

    DECODE = "decode"
    CLASSIFY = "classify"
    ENCODE = "encode"


class DeadLetterHeaders(BaseModel):
    """The headers of a dead letter, all UTF-8 strings. The record's key, value and own headers stay unchanged.

    `attempts` counts over all redrives of the record. The other optional headers are present only in these cases:
    `redriven` after the first redrive; `value_omitted` if the dead-letter topic cannot take the value, or the value
    could not be read (the dead letter's value is then empty); `headers_omitted` if the record's own headers are too
    many or too large; `key_made` if the dead-letter topic requires a key and the input record has none (the key is then
    the input's TOPIC-PARTITION-OFFSET).
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
        description="Number of earlier redrives of the record from the dead-letter topic.",
    )
    value_omitted: str | None = Field(
        None,
        serialization_alias=VALUE_OMITTED,
        pattern=r"^(bytes=\d+;sha256=[0-9a-f]{64}|unread)$",
        description="Length and SHA-256 of a value that the dead-letter topic cannot take; `unread` if value, key and "
        "headers could not be read.",
    )
    headers_omitted: str | None = Field(
        None,
        serialization_alias=HEADERS_OMITTED,
        pattern=r"^count=\d+;bytes=\d+$",
        description="Number and bytes of the record's own headers if they are left out.",
    )
    key_made: str | None = Field(
        None,
        serialization_alias=KEY_MADE,
        pattern="^true$",
        description="The key is made from the input's position, because the topic requires a key.",
    )

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers, in the order of the fields."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return [(name, value.encode("utf-8", "backslashreplace")) for name, value in fields.items()]
