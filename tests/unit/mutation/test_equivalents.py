"""The list of equivalent mutants names lines that the code has: a stale one would show only at the end of a run."""

from functools import cache

from tests.mutation.equivalents import EQUIVALENTS
from tests.mutation.operators import mutants_of
from tests.mutation.targets import ROOT


@cache
def code(file: str) -> list[str]:
    return (ROOT / file).read_text(encoding="utf-8").splitlines()


@cache
def mutants(file: str) -> set[tuple[str, str]]:
    return {(code(file)[one.line - 1].strip(), one.name) for one in mutants_of("\n".join(code(file)) + "\n")}


def test_each_equivalent_is_a_mutant_of_a_line() -> None:
    for file, line, change, _ in EQUIVALENTS:
        assert line in {one.strip() for one in code(file)}, f"{file} has no line {line}"
        assert change == "*" or (line, change) in mutants(file), f"{file}: {line}: no mutant {change}"
