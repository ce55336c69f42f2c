"""Wrapped text, code spans and tables that every renderer reads alike."""

import pytest

from docs.generate.markdown import WIDTH, code, item, paragraph, paragraphs, sentence, table, with_code


def test_paragraph_is_wrapped() -> None:
    lines = paragraph("word " * 60).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= WIDTH


def test_wrapped_line_does_not_become_a_list_item() -> None:
    assert paragraph(f"{'x' * WIDTH} - is stdin").splitlines()[1] == "\\- is stdin"
    assert item(f"{'x' * (WIDTH - 2)} 1. is no number").splitlines()[1] == "  1\\. is no number"


def test_paragraphs_of_a_docstring_stay_apart() -> None:
    assert paragraphs("One\nline.\n\n    Two.") == "One line.\n\nTwo."


@pytest.mark.parametrize(("text", "span"), [("a b", "`a b`"), ("run `x` now", "``run `x` now``"), ("`x`", "`` `x` ``")])
def test_code_span_holds_backticks(text: str, span: str) -> None:
    assert code(text) == span


def test_names_in_a_text_become_code() -> None:
    assert with_code("null means kafka.max_age_ms of `on_tombstone`, {} or A_B") == (
        "`null` means `kafka.max_age_ms` of `on_tombstone`, `{}` or `A_B`"
    )
    assert with_code("set RAY_MODE=token in ~/.ray/auth_token.") == "set `RAY_MODE=token` in `~/.ray/auth_token`."
    assert with_code("pip install 'a[b]', it's c") == "pip install `'a[b]'`, it's c"
    assert with_code("such as messages[*].content, or [0].") == "such as `messages[*].content`, or `[0]`."
    assert with_code("autoscaling, and/or e.g. this") == "autoscaling, and/or e.g. this"


def test_table_escapes_bars() -> None:
    assert table(["a", "b"], [["x|y", "z"]]).splitlines() == ["| a | b |", "| --- | --- |", "| x\\|y | z |"]


@pytest.mark.parametrize(
    ("text", "ended"), [("Set it", "Set it."), ("Set it.", "Set it."), ("Is it new?", "Is it new?")]
)
def test_sentence_ends_once(text: str, ended: str) -> None:
    assert sentence(text) == ended
