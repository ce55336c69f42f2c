"""The bottleneck behind Serve."""

import pytest

from labelstream.deploy.bench.suites import serving


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ((0.9, 0.1), "device"),
        ((0.5, 0.5), "Serve"),
        ((0.5, 0.9), "tokenizer"),
    ],
)
def test_limit_names_busy_part_behind_serve(shares: tuple[float, float], named: str) -> None:
    assert serving.limit(*shares, tokenize_us=30, caller_us=40).startswith(f"{named}: ")
    assert serving.limit(*shares, tokenize_us=10, caller_us=40).startswith("device" if named == "device" else "Serve")
