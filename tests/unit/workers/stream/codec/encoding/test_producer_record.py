"""The size of a record is an upper bound of what kafka-python writes for it."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecordsBuilder

from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord

BYTES = st.one_of(st.none(), st.binary(max_size=300))
HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=10)


@given(BYTES, BYTES, HEADERS)
def test_no_record_batch_is_larger_than_the_size(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 20)
    builder.append(1_700_000_000_000, key, value, headers)
    builder.close()
    assert ProducerRecord(value, key, headers).size >= builder.size_in_bytes()
