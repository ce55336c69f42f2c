"""Whether a command printed what its page shows.

On the page `...` stands for any text in its line, and alone for any lines. A decimal stands for any decimal, a clock
time for any time, and blanks for any number of blanks: what differs between two runs and machines.
"""

import re
from collections.abc import Sequence

_ANY_LINES = "..."
_PROGRESS = "asking the application at "  # printed only where the answer takes more than 2 s


def matches(shown: Sequence[str], printed: Sequence[str], in_order: bool = True) -> bool:
    """`shown`: the page's lines. `printed`: the command's. Empty lines count in neither."""
    lines = [_plain(line) for line in printed if line.strip() and not line.startswith(_PROGRESS)]
    patterns = [line.strip() if line.strip() == _ANY_LINES else _pattern(line) for line in shown if line.strip()]
    if not in_order:
        return _in_any_order(patterns, lines)
    whole = "".join("(?:.*\n)*?" if pattern == _ANY_LINES else f"{pattern}\n" for pattern in patterns)
    return re.fullmatch(whole, "".join(f"{line}\n" for line in lines)) is not None


def _in_any_order(patterns: list[str], lines: list[str]) -> bool:
    left = list(lines)
    for pattern in patterns:
        if pattern == _ANY_LINES:
            continue
        found = next((line for line in left if re.fullmatch(pattern, line)), None)
        if found is None:
            return False
        left.remove(found)
    return not left or _ANY_LINES in patterns


def _plain(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def _pattern(line: str) -> str:
    pattern = re.escape(_plain(line)).replace(r"\.\.\.", ".*")
    pattern = re.sub(r"(?<!\d)\d\d:\d\d:\d\d(?!\d)", r"\\d\\d:\\d\\d:\\d\\d", pattern)
    return re.sub(r"(?<![\d.])\d+\\\.\d+(?![\d]|\\\.\d)", r"\\d+\\.\\d+", pattern)
