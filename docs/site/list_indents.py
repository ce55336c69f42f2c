"""Lists as CommonMark and GitHub read them, for Python-Markdown, which wants four spaces for each level."""

import re
from collections.abc import Iterator

_MARKER = re.compile(r"( *)([-*+]|\d{1,9}[.)])( +)(?=\S)")
_FENCE = re.compile(r" *(`{3,}|~{3,})")
_SPACES = 4


def with_four_spaces(markdown: str) -> str:
    """`markdown` with the content of each list item indented by four spaces a level, and a blank line before a list."""
    return "\n".join(_lines(markdown.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    columns: list[int] = []  # where the content of each open item begins, outermost first
    fence, before, is_loose = "", "", False  # is_loose: there was a blank line in the item
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        marker = None if fence else _MARKER.match(line)
        open_before = len(columns)
        if line.strip() and not fence and (marker or not before.strip()):
            columns = [column for column in columns if column <= indent]  # else it goes on in the paragraph before
        follows_item = len(columns) == open_before - 1  # one of the same list, right before
        if marker and before.strip() and (is_loose or not follows_item):
            yield ""
        yield _moved(line, columns)
        is_loose = (is_loose or not line.strip()) and not marker
        if marker:
            columns.append(len(marker[0]))
        if found := _FENCE.match(line):
            fence = "" if fence and found[1].startswith(fence) else fence or found[1]
        before = line


def _moved(line: str, columns: list[int]) -> str:
    """`line` at four spaces for each of `columns` that it is in."""
    if not columns or not line.strip():
        return line
    inside = min(len(line) - len(line.lstrip(" ")), columns[-1])
    return " " * (_SPACES * len(columns)) + line[inside:]
