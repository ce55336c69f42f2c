"""`python -m tests.docs.pictures.recording OUT.svg 'COMMAND'`: a command's terminal as an SVG."""

import argparse
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.docs.terminal import COLUMNS, Terminal
from tests.support.command import ROOT

FONT_PX, CHARACTER_PX, LINE_PX, MARGIN_PX = 16, 9.6, 19, 16
# A dark ground of its own, readable whatever the page around it. First the eight colours of a terminal.
COLOURS = [(110, 118, 129), (255, 123, 114), (63, 185, 80), (210, 153, 34)]
COLOURS += [(88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)]
GROUND, TEXT, DIM, FRAME = "#0d1117", "#e6edf3", "#9da7b3", "#6e7681"
THEME = TerminalTheme((13, 17, 23), (230, 237, 243), COLOURS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("command")
    parser.add_argument("--first", metavar="REGEX", default="", help="the first line of the picture")
    parser.add_argument("--last", metavar="REGEX", help="the last line of the picture; default: the command's last")
    parser.add_argument("--timeout", type=float, default=180.0, help="seconds")
    options = parser.parse_args()
    terminal = Terminal(options.command, ROOT)
    try:
        code = terminal.wait(options.timeout)
    finally:
        terminal.close()
    assert code == 0, terminal.told(f"ended with exit code {code}")
    lines = cut(terminal.screen.styled, terminal.screen.plain, options.first, options.last)
    options.out.write_text(svg([f"\x1b[1m$ {options.command}\x1b[0m", *lines], options.command), encoding="utf-8")


def cut(styled: list[str], plain: list[str], first: str, last: str | None) -> list[str]:
    """The styled lines from the one that `first` is found in to the one that `last` is found in."""
    begin = next(place for place, line in enumerate(plain) if re.search(first, line))
    end = max(place for place, line in enumerate(plain) if line and (not last or re.search(last, line)))
    return styled[begin : end + 1]


def svg(lines: list[str], title: str) -> str:
    """The lines, with their colours, as a picture of a terminal. Longer ones go on in the next line, as there."""
    rows = [row for line in lines for row in _wrapped(Text.from_ansi(line))]
    width, height = COLUMNS * CHARACTER_PX + 2 * MARGIN_PX, len(rows) * LINE_PX + 2 * MARGIN_PX
    texts = [piece for number, row in enumerate(rows) for piece in _pieces(row, number)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" role="img" aria-label="{escape(title)}">',
            f"<style>text {{ font: {FONT_PX}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', "
            f"monospace; fill: {TEXT}; }}</style>",
            f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8" fill="{GROUND}" '
            f'stroke="{FRAME}"/>',
            *texts,
            "</svg>",
            "",
        ]
    )


def _wrapped(line: Text) -> list[Text]:
    line.rstrip()
    return list(line.divide(range(COLUMNS, len(line), COLUMNS))) or [line]


def _pieces(row: Text, number: int) -> Iterator[str]:
    """A `text` for each run of one style, as wide as its characters are in any font of one width."""
    column, y = 0, MARGIN_PX + number * LINE_PX + FONT_PX - 1
    for piece in row.render(Console(width=COLUMNS, color_system="truecolor")):
        if piece.text.strip():
            shown = escape(piece.text).replace(" ", "\N{NO-BREAK SPACE}")
            x, length = MARGIN_PX + column * CHARACTER_PX, len(piece.text) * CHARACTER_PX
            yield f'<text x="{x:g}" y="{y}" textLength="{length:g}"{_look(piece.style)}>{shown}</text>'
        column += len(piece.text)


def _look(style: Style | None) -> str:
    rules = []
    if style and style.color and not style.color.is_default:
        rules.append(f"fill: {style.color.get_truecolor(THEME).hex}")
    elif style and style.dim:
        rules.append(f"fill: {DIM}")
    if style and style.bold:
        rules.append("font-weight: bold")
    if style and style.italic:
        rules.append("font-style: italic")
    return f' style="{"; ".join(rules)}"' if rules else ""


if __name__ == "__main__":
    main()
