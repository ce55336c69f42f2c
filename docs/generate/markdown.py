"""Markdown as the pages have it: at most 100 characters a line, except in the rows of a table."""

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap

WIDTH = 100
_NAME = re.compile(
    r"""(?<!\w)(['"])[^'"]*\[[^'"]*\1"""  # "labelstream[tracing]"
    r"|(?<![\w.~/])[~\w./]*[A-Za-z0-9]_\w+(?:[.=]\w+)*"  # key_file, ~/.ray/auth_token, RAY_AUTH_MODE=token
    r"|[\w.]*\[[\w*]+\][\w.]*\w|[\w.]*\[[\w*]+\]"  # items[*].text
    r"|(?<!\w)(?:null|auto|\{\})(?!\w)"
)


def paragraphs(text: str) -> str:
    """Each paragraph of a docstring or help text, wrapped."""
    return "\n\n".join(paragraph(part) for part in re.split(r"\n\s*\n", text.strip()))


def paragraph(text: str, first: str = "", others: str = "") -> str:
    """`text` wrapped, with `first` before its first line and `others` before the following ones."""
    lines = wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([*lines[:1], *map(_not_an_item, lines[1:])])


def _not_an_item(line: str) -> str:
    """`line`, whose first word would else make an item of a list, a heading or a quotation of it."""
    line = re.sub(r"^(\s*)([-+*#>])(?= |$)", r"\1\\\2", line)
    return re.sub(r"^(\s*\d+)([.)])(?= |$)", r"\1\\\2", line)


def item(text: str) -> str:
    """An item of a list."""
    return paragraph(text, "- ", "  ")


def code(text: str) -> str:
    """A code span, whatever `text` holds."""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def with_code(text: str) -> str:
    """`text` with each name in it as a code span: names hold an underscore or brackets, or are `null` or `auto`."""
    parts = re.split(r"(`[^`]*`)", text)  # code spans that are there stay
    return "".join(part if part.startswith("`") else _NAME.sub(r"`\g<0>`", part) for part in parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells hold Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def sentence(text: str) -> str:
    """`text` with a full stop at its end."""
    return text if text.endswith((".", "?", ":")) else f"{text}."
