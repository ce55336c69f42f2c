"""How many sequences one call may hold."""

import pytest

from labelstream.deploy.model_client.call_limits import MAX_CALL_SEQUENCES, max_sequences


@pytest.mark.parametrize("top_k", [1, 2, 10, 1_000, 1_000_000])
def test_an_answer_stays_below_what_grpc_takes(top_k: int) -> None:
    count = max_sequences(top_k)
    assert 1 <= count <= MAX_CALL_SEQUENCES
    assert count == 1 or count * top_k * 8 <= 1_000_000
