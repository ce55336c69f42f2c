"""Mutants that nobody can tell from the original: (file, the line as it is, the change, why)."""

_ANSWERS = "workers/engine/answers.py"

EQUIVALENTS: tuple[tuple[str, str, str, str], ...] = (
    (_ANSWERS, "if len(widths) > 1:", "len(widths) > 1 -> len(widths) >= 1", "a short way where all are cut alike"),
    (_ANSWERS, "if len(widths) > 1:", "1 -> 0", "the same"),
)
