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
NULL = "null"  # as `value_omitted`: the record has no value


class Reason(StrEnum):
    """Why a record has no result."""

    INVALID_ENCODING = "invalid_encoding"
    """The value is not UTF-8."""
    INVALID_JSON = "invalid_json"
    """The value is not JSON. In the part that is read, NaN and nesting over 200 levels count as well."""
    INVALID_TEXT = "invalid_text"
    """The part that is read holds a lone surrogate."""
    INVALID_MESSAGE = "invalid_message"
    """A field is missing, repeated or of a wrong type; a path leads through something else than an object or a
    list; a list of texts and the list of their pairs differ; `top_k` is over its limit; or the tokenizer refuses the
    text.
    """
    INVALID_RECORD = "invalid_record"
    """Kafka's framing contradicts itself, in this record or from here to the end of its batch."""
    EMPTY_TEXT = "empty_text"
    """The text is blank or null, null stands above the text on its path, or a list of texts has no good text."""
    TOO_LARGE = "too_large"
    """The message exceeds `limits.max_message_bytes` or `limits.max_tokens_per_message`, or lies beyond
    `limits.max_batch_bytes` in its decompressed batch; or it has more texts than `limits.max_texts`; or the key
    exceeds 256 KiB, or the headers 1,000 or 256 KiB.
    """
    TOMBSTONE = "tombstone"
    """The record has no value, and the pipeline has `on_tombstone: dead_letter`."""
    INVALID_LABELS = "invalid_labels"
    """Candidate labels are missing, empty, repeated, too long or too many; the template does not have exactly one
    `{}`; or the model takes no labels.
    """
    UNKNOWN_MODEL = "unknown_model"
    """The message names a model that the pipeline does not list."""
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    """The framing of a schema registry precedes the JSON or the text: 0x00 and four bytes or more."""
    RESULT_TOO_LARGE = "result_too_large"
    """The result is larger than the output topic takes."""
    RESULT_REFUSED = "result_refused"
    """The broker refuses the result: the record has no key and the topic is compacted, or the record fails the
    broker's validation.
    """
    INFERENCE_FAILED = "inference_failed"
    """The model raises on this record alone, or failed as a whole three times while the record ran alone."""
    CRASHES_MODEL = "crashes_model"
    """Replicas died three times while the record ran alone."""
    TIMED_OUT = "timed_out"
    """The record got no answer in time, three times while it ran alone."""
    CRASHES_WORKER = "crashes_worker"
    """Three workers died, or were replaced because the record held up their loop, while it was all that they had
    in flight.
    """


class Stage(StrEnum):
    """The step of processing in which a message failed."""

    DECODE = "decode"
    """Reading the record: framing, encoding, JSON and fields."""
    CLASSIFY = "classify"
    """The tokenizer or the model."""
    ENCODE = "encode"
    """Writing the result to the output topic."""


class DeadLetterHeaders(BaseModel):
    """The headers of a dead letter, all UTF-8 strings. The record's key, value and own headers stay unchanged.

    `attempts` counts over all redrives of the record. The other optional headers are present only in these cases:
    `redriven` after the first redrive; `value_omitted` if the dead-letter topic cannot take the value, the value could
    not be read, or the record has none (the dead letter's value is then empty); `headers_omitted` if the record's own
    headers are too many or too large; `key_made` if the dead-letter topic requires a key and the input record has none
    (the key is then the input's TOPIC-PARTITION-OFFSET).
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, title="DeadLetter")

    topic: str = Field(serialization_alias="__connect.errors.topic", description="Topic of the record.")
    partition: str = Field(
        serialization_alias="__connect.errors.partition", pattern=r"^\d+$", description="Partition of the record."
    )
    offset: str = Field(
        serialization_alias="__connect.errors.offset", pattern=r"^\d+$", description="Offset of the record."
    )
    stage: Stage = Field(serialization_alias="__connect.errors.stage", description="Step of processing that failed.")
    class_name: str = Field(
        serialization_alias="__connect.errors.class.name", description="Always `labelstream.stream`."
    )
    exception_class_name: str = Field(
        serialization_alias="__connect.errors.exception.class.name", description="Name of the error."
    )
    exception_message: str = Field(
        serialization_alias="__connect.errors.exception.message",
        description="Text of the error, 1,000 characters at most.",
    )
    reason: Reason = Field(serialization_alias=REASON, description="Why the record has no result.")
    attempts: str = Field(
        serialization_alias=ATTEMPTS,
        pattern=r"^[1-9]\d*$",
        description="Number of attempts at the record, over all redrives.",
    )
    model: str = Field(
        serialization_alias="labelstream.model",
        description="Name of the model; empty if the record failed before its model was known.",
    )
    version: str = Field(
        serialization_alias="labelstream.version", description="Version of Labelstream that wrote the dead letter."
    )
    redriven: str | None = Field(
        None,
        serialization_alias=REDRIVEN,
        pattern=r"^[1-9]\d*$",
        description="Number of earlier redrives of the record from the dead-letter topic.",
    )
    value_omitted: str | None = Field(
        None,
        serialization_alias=VALUE_OMITTED,
        pattern=r"^(bytes=\d+;sha256=[0-9a-f]{64}|unread|null)$",
        description="Length and SHA-256 of a value that the dead-letter topic cannot take; `unread` if value, key and "
        "headers could not be read; `null` if the record has no value, and another reason than `tombstone`.",
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
