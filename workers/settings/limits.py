"""Upper bounds of one message, of one record batch and of a worker's memory."""

from collections.abc import Iterator

from pydantic import Field

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS
from labelstream.workers.section import Section

MAX_BATCH_BYTES, MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024, 128 * 1024 * 1024


class LimitSettings(Section):
    """Upper bounds of one message and of one decompressed record batch. A larger one becomes a dead letter."""

    max_message_bytes: int = Field(
        default=1_048_576,
        ge=64,
        description="Bytes of a message's value at most; the default is Kafka's own limit of a record batch.",
    )
    max_batch_bytes: int = Field(
        default=MAX_BATCH_BYTES,
        ge=1_048_576,
        description="Bytes of a decompressed record batch at most: the bound against decompression bombs.",
    )
    max_in_flight_bytes: int = Field(
        default=MAX_IN_FLIGHT_BYTES,
        ge=1_048_576,
        description="Bytes that a worker holds between poll and acknowledgement at most; polls wait above it. Bounds a"
        " worker's memory.",
    )
    max_texts: int = Field(
        default=1_000,
        ge=1,
        description="Number of texts of a message at most, where fields.text names a list of texts.",
    )
    max_candidate_labels: int = Field(default=100, ge=1, description="Number of candidate labels of a message at most.")
    max_label_chars: int = Field(default=256, ge=1, description="Characters of a candidate label at most.")
    max_label_text_chars: int = Field(
        default=1_000_000,
        ge=1,
        description="Characters of all texts of a message times its number of candidate labels, at most.",
    )
    max_tokens_per_message: int = Field(
        default=MAX_MESSAGE_TOKENS,
        ge=1,
        description="Tokens of all sequences of one text at most: one sequence per candidate label, mask or window.",
    )

    def problems(self) -> Iterator[str]:
        if self.max_batch_bytes < self.max_message_bytes:
            yield (
                f"max_batch_bytes ({self.max_batch_bytes}) is below max_message_bytes "
                f"({self.max_message_bytes}): raise the first or lower the second"
            )
        if self.max_in_flight_bytes < self.max_batch_bytes:  # one record may fill a record batch
            yield (
                f"max_in_flight_bytes ({self.max_in_flight_bytes}) is below max_batch_bytes "
                f"({self.max_batch_bytes}): raise the first or lower the second"
            )
