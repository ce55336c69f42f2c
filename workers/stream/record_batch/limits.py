"""What a record weighs in memory, and what it may be made of beside its value."""

from kafka.consumer.fetcher import ConsumerRecord

# The objects of one record between poll and acknowledgement, beyond its own bytes: measured 1.6 KB, and 0.15 a header.
RECORD_BYTES, HEADER_BYTES = 2_048, 160
# Kafka has no limits of its own but that of a whole batch, 1 MiB by default. Key and headers go out again with the
# result: each of them leaves three quarters of a record for the rest. Envoy takes 100 headers of 60 KiB, nginx 4 x 8
# KiB, Go's HTTP server 1 MiB.
MAX_KEY_BYTES = MAX_HEADER_BYTES = 256 * 1024
MAX_HEADERS = 1_000


def weight(record: ConsumerRecord) -> int:
    """The bytes of key, value and headers, and of the objects that hold them."""
    own = record.serialized_key_size + record.serialized_value_size + record.serialized_header_size  # -1 for none
    return own + RECORD_BYTES + HEADER_BYTES * len(record.headers)
