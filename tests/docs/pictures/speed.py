"""`python -m tests.docs.pictures.speed OUT.svg`: the bars of the first table in docs/benchmarks.md."""

import argparse
import re
from html import escape
from pathlib import Path

from tests.support.command import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
WIDTH, BAR_PX, ROW_PX, LABELS_PX, NUMBERS_PX = 640, 22, 40, 262, 60
STYLE = """\
text { font: 16px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.bar { fill: #8c959f; } .ours { fill: #0969da; } .note { font-size: 15px; fill: #57606a; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .bar { fill: #6e7681; } .ours { fill: #58a6ff; } .note { fill: #9da7b3; } }"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.parse_args().out.write_text(svg(rows(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")


def rows(page: str) -> list[tuple[str, float]]:
    """The way and its texts/s of each row of the page's first table that measures texts/s."""
    table = page.split("\n|", 1)[1].partition("\n\n")[0]
    return [(name.strip(), float(value)) for name, value in re.findall(r"^\| ([^|]+) \| ([\d.]+) \|", table, re.M)]


def svg(figures: list[tuple[str, float]]) -> str:
    """One bar a row, with its number at its end."""
    height = ROW_PX * len(figures) + 34
    px = (WIDTH - LABELS_PX - NUMBERS_PX) / max(value for _, value in figures)
    bars = [_bar(name, value, place * ROW_PX, value * px) for place, (name, value) in enumerate(figures)]
    said = "; ".join(f"{name}: {value:g}" for name, value in figures)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="800" '
            f'height="{height * 800 // WIDTH}" role="img" aria-label="{escape("Texts per second. " + said)}">',
            f"<style>\n{STYLE}\n</style>",
            *bars,
            f'<text class="note" x="{LABELS_PX}" y="{height - 10}">texts per second, on 2 CPU cores</text>',
            "</svg>",
            "",
        ]
    )


def _bar(name: str, value: float, y: int, length: float) -> str:
    kind = "bar ours" if "Labelstream" in name else "bar"
    middle = y + ROW_PX // 2 + 5
    return (
        f'<text x="{LABELS_PX - 10}" y="{middle}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="{LABELS_PX}" y="{y + (ROW_PX - BAR_PX) // 2}" width="{length:.1f}" '
        f'height="{BAR_PX}" rx="3"/>'
        f'<text x="{LABELS_PX + length + 8:.1f}" y="{middle}">{value:g}</text>'
    )


if __name__ == "__main__":
    main()
