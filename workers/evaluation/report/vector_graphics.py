"""Plots as SVG inside a page: with the page's colors and font, and with a name and a description for screen readers."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from labelstream.workers.errors import StartError

# Colors in matplotlib -> colors of the page, which has a light and a dark scheme.
INK, FAINT = "#010203", "#040506"
SERIES = ("#a00001", "#a00002", "#a00003", "#a00004", "#a00005", "#a00006")
_PAGE_COLORS = {INK: "var(--ink)", FAINT: "var(--faint)"} | {
    color: f"var(--series-{i})" for i, color in enumerate(SERIES, 1)
}
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a label may contain $
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@contextmanager
def plotting() -> Iterator[Any]:
    """`matplotlib.figure.Figure` in the page's style. Raises StartError if matplotlib is not installed."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise StartError("matplotlib is missing; pip install 'labelstream[evaluate]'") from None
    with matplotlib.rc_context(_STYLE):
        yield Figure


def svg_of(figure: Any, name: str, title: str) -> str:
    """The figure as an SVG element. `name`: unique in the page. `title`: what a screen reader says."""
    import matplotlib

    target = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the page's font shows the text
        figure.savefig(target, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    for color, of_page in _PAGE_COLORS.items():
        svg = svg.replace(color, of_page)
    svg = re.sub(r" font-family: [^;\"]*;?", "", svg)  # the page has a font
    return _labeled(_with_own_ids(svg, name), title)


def _with_own_ids(svg: str, name: str) -> str:
    """The ids that the figure refers to get the prefix `name`; the others go."""
    used = set(re.findall(r"#([\w-]+)", " ".join(re.findall(r'(?:xlink:href="|url\()(#[\w-]+)', svg))))

    def renamed(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', renamed, svg)
    return re.sub(r'(xlink:href="|url\()#([\w-]+)', rf"\1#{name}-\2", svg)


def _labeled(svg: str, title: str) -> str:
    head, end, rest = svg.partition(">")
    head = re.sub(r' (width|height|version|xmlns)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(title)}"{end}{rest}'.strip()
