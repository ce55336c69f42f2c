"""Tables of the report as HTML. Every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

Cell = str | int | float | None
_NUMBER = ' class="number"'
MAX_CONFUSED = 30  # labels of a confusion matrix; a wider table cannot be read


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], kind: str = "") -> str:
    """The first column holds the rows' headers. Columns of numbers are aligned to the right. `kind`: a style class."""
    rows = list(rows)
    numeric = [any(_is_number(row[i]) for row in rows) for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{_NUMBER if number else ""}>{escape(name)}</th>'
        for name, number in zip(header, numeric, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{cell_text(first)}</th>'
        + "".join(f"<td{_NUMBER if numeric[i] else ''}>{cell_text(cell)}</td>" for i, cell in enumerate(others, 1))
        + "</tr>\n"
        for first, *others in rows
    )
    return _scrolling(caption, f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>", kind)


def confusion_table(labels: Sequence[str], matrix: NDArray[np.int64]) -> str:
    """Rows are true labels, columns the model's. A cell is the darker, the larger its share of the row."""
    shown = list(range(len(labels)))
    if len(labels) > MAX_CONFUSED:
        shown = sorted(np.argsort(-matrix.sum(1), kind="stable")[:MAX_CONFUSED].tolist())
    head = "".join(f'<th scope="col">{escape(labels[i])}</th>' for i in shown)
    rows = []
    for i in shown:
        total = int(matrix[i].sum())
        cells = "".join(_shaded(int(matrix[i, j]), total, i == j) for j in shown)
        rows.append(f'<tr><th scope="row">{escape(labels[i])}</th>{cells}</tr>\n')
    caption = "Confusion matrix: true label by row, label of the model by column"
    if len(shown) < len(labels):
        caption += f"; the {len(shown)} most frequent of {len(labels)} labels"
    head = f'<thead><tr><th scope="col">true \\ model</th>{head}</tr></thead>'
    return _scrolling(caption, f"{head}\n<tbody>\n{''.join(rows)}</tbody>", "confusion")


def cell_text(value: Cell) -> str:
    """`value` as HTML: whole numbers with separators, others with four digits, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else escape(value)


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float)


def _scrolling(caption: str, content: str, kind: str) -> str:
    """A table that scrolls by itself where the page is narrower; the keyboard reaches it."""
    name = escape(caption)
    of_kind = f' class="{kind}"' if kind else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table{of_kind}>\n'
        f"<caption>{name}</caption>\n{content}</table></div>"
    )


def _shaded(count: int, total: int, right: bool) -> str:
    share = count / total if total else 0.0
    kind = "right" if right else "wrong"
    percent = f"<small>{share:.0%}</small>" if total else ""
    return f'<td class="number {kind}" style="--share: {share:.3f}">{count:,}{percent}</td>'
