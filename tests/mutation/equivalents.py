"""Mutants that nobody can tell from the original: (file, the line as it is, the change, why)."""

EQUIVALENTS: tuple[tuple[str, str, str, str], ...] = ()
