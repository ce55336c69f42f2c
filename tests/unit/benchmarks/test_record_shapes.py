"""The benchmark of the shapes measures each of them."""

from tests.benchmarks.record_shapes import SHAPES, measure


def test_each_shape_is_measured_beside_its_plain_one() -> None:
    figures = measure(rounds=1, messages=2)
    assert figures.keys() == SHAPES.keys()
    assert figures["messages"]["extra_us"] == figures["log events"]["extra_us"] == 0
