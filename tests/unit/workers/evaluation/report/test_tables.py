import numpy as np
import pytest

from labelstream.workers.evaluation.report.tables import MAX_CONFUSED, Cell, cell_text, confusion_table, table


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (1_234, "1,234"), (0.5, "0.5000"), ("a<b", "a&lt;b"), (-2.0, "-2.0000")]
)
def test_cell_is_a_number_or_an_escaped_text(value: Cell, text: str) -> None:
    assert cell_text(value) == text


def test_columns_of_numbers_are_aligned() -> None:
    made = table("a & b", ("name", "x", "y"), [("a", None, "t"), ("b", 2, "u")])
    assert '<th scope="col">name</th><th scope="col" class="number">x</th><th scope="col">y</th>' in made
    assert '<th scope="row">a</th><td class="number">-</td><td>t</td>' in made
    assert "<caption>a &amp; b</caption>" in made


def test_confusion_shades_a_cell_by_its_share_of_the_row() -> None:
    made = confusion_table(("a", "b"), np.array([[3, 1], [0, 0]]))
    assert '<td class="number right" style="--share: 0.750">3<small>75%</small></td>' in made
    assert '<td class="number wrong" style="--share: 0.250">1<small>25%</small></td>' in made
    assert '<td class="number right" style="--share: 0.000">0</td>' in made


def test_confusion_of_many_labels_shows_the_most_frequent() -> None:
    k = MAX_CONFUSED + 5
    made = confusion_table([f"l{i}." for i in range(k)], np.diag(np.arange(k)))
    assert f"the {MAX_CONFUSED} most frequent of {k} labels" in made
    assert ">l4.<" not in made
    assert ">l5.<" in made
    assert made.count('class="number right"') == MAX_CONFUSED
