"""Texts of any number, none twice."""

from labelstream.deploy.bench.harness.texts import nth_text


def test_no_text_comes_twice_however_many_are_asked_for() -> None:
    texts = ["a", "b c", "d"]
    many = [nth_text(texts, number) for number in range(300)]
    assert many[:5] == [*texts, "a 1", "b c 1"]
    assert len(set(many)) == 300
