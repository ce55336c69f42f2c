import re

from labelstream.workers.evaluation.report.style import STYLE
from labelstream.workers.evaluation.report.vector_graphics import SERIES

VARIABLES = ("--paper", "--ink", "--soft", "--faint", "--line", *(f"--series-{i}" for i, _ in enumerate(SERIES, 1)))


def luminance(color: str) -> float:
    values = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colors_contrast_in_both_schemes() -> None:
    light, _, dark = STYLE.partition("prefers-color-scheme: dark")
    for scheme in (light, dark):
        colors = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", scheme))
        assert set(VARIABLES) <= set(colors)
        paper = luminance(colors["--paper"])
        for name in VARIABLES:
            least = {"--paper": 1.0, "--line": 1.0, "--faint": 3.0}.get(name, 4.5)  # WCAG 2.2: 1.4.3 and 1.4.11
            bright, dim = sorted((luminance(colors[name]), paper), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= least, name
