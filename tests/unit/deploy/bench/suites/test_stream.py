"""The bottleneck from topic to topic."""

import pytest

from labelstream.deploy.bench.suites import stream


@pytest.mark.parametrize(
    ("busy", "parts", "named"),
    [
        ((0.95, 0.2), (30, 60, 10), "device"),
        ((0.5, 0.3), (30, 60, 10), "Serve"),
        ((0.5, 0.95), (30, 60, 10), "Kafka"),
        ((0.5, 0.95), (30, 90, 50), "tokenizer"),
        ((0.5, 0.95), (30, 90, 10), "worker"),
    ],
)
def test_limit_names_busy_part_of_stream(
    busy: tuple[float, float], parts: tuple[float, float, float], named: str
) -> None:
    assert stream.limit(*busy, *parts).startswith(f"{named}: the device is busy for {busy[0]:.0%}")
