"""Which membership offsets are committed under."""

from types import SimpleNamespace

import pytest
from kafka.structs import (
    ConsumerGroupMetadata,  # pyright: ignore
)

from labelstream.workers.stream.consumer.assignment import PartitionAssignment
from labelstream.workers.stream.consumer.source import RecordSource


@pytest.mark.parametrize(
    ("generation", "member", "fenced"),
    [(-1, "", False), (-1, "me", False), (3, "", False), (0, "me", True), (3, "me", True)],
)
def test_only_a_member_of_a_generation_can_be_fenced(generation: int, member: str, fenced: bool) -> None:
    """Hazard: after being kicked out the client's metadata has generation -1, which a broker takes without a check."""
    source = RecordSource.__new__(RecordSource)
    metadata = ConsumerGroupMetadata(group_id="g", generation_id=generation, member_id=member)
    source._consumer = SimpleNamespace(group_metadata=lambda: metadata)
    source.assignment, source._membership = PartitionAssignment(), SimpleNamespace(losses=0)  # type: ignore[assignment]
    assert source.membership() is (metadata if fenced else None)
