"""`python -m tests.mutation [--sample N] [--seed S] [FILE...]`: exits with 1 if no test notices a changed rule."""

import argparse
import difflib
import json
import os
import random
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from tests.mutation.children import Changed, Chosen, Traced, prepare, run_all, run_tests
from tests.mutation.equivalents import EQUIVALENTS
from tests.mutation.operators import Mutant, mutants_of
from tests.mutation.targets import ROOT, TEST_FILES, Target, targets

Noted = dict[str, dict[str, Any]]
# Number of fastest tests that run per mutant, and of those in its module's own test file: a rule that only slower tests
# notice deserves a test of its own.
_TESTS_S = 12.0


class Case(NamedTuple):
    """One mutant of one module, and the fastest tests that run the changed line, the fastest of its own file first."""

    target: Target
    mutant: Mutant
    tests: tuple[str, ...]
    seconds: float

    @property
    def name(self) -> tuple[str, str, str]:
        """The mutant as an entry of EQUIVALENTS: file, line, change."""
        line = self.target.path.read_text().splitlines()[self.mutant.line - 1].strip()
        return self.target.short, line, self.mutant.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="of these modules alone, e.g. windows.py")
    parser.add_argument("--sample", type=int, help="so many mutants, taken at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    started = time.monotonic()
    chosen = targets(tuple(options.files))
    prepare()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noted = baseline(chosen, options.processes, folder)
        print(f"{len(noted)} tests pass on the code as it is ({time.monotonic() - started:.0f} s)", flush=True)
        made = [case for target in chosen for case in cases_of(target, noted)]
        known = {one[:3] for one in EQUIVALENTS if one[0] in {target.short for target in chosen}}
        cases = [case for case in made if known.isdisjoint(_names(case))]
        unequal = len(cases)
        if options.sample:
            cases = random.Random(options.seed).sample(cases, min(options.sample, len(cases)))
        survivors = 0
        for case in survivors_of(cases, options.processes, folder):
            survivors += 1
            print(diff_of(case), flush=True)
    stale = known.difference(*map(_names, made))
    for one in sorted(stale):
        print(f"{one} is in the list of equivalents, but no such mutant is made any more")
    print(
        f"{len(cases)} mutants: {len(cases) - survivors} killed, {survivors} survived; "
        f"{len(made) - unequal} more are equivalents and were not tried ({time.monotonic() - started:.0f} s)"
    )
    sys.exit(1 if survivors or stale else 0)


def baseline(chosen: list[Target], processes: int, folder: Path) -> Noted:
    """The lines that each test runs, and its time. All tests must pass."""
    paths = [str(target.path) for target in chosen]

    def job(file: str) -> Callable[[], int]:
        return lambda: run_tests([file], Traced(paths, folder / f"{Path(file).stem}.json"))

    noted: Noted = {}
    for file, done in run_all([(file, job(file), 600.0) for file in TEST_FILES], processes, folder):
        if done.code:
            sys.exit(f"{file} fails on the code as it is:\n{done.output}")
        noted |= json.loads((folder / f"{Path(file).stem}.json").read_text())
    return noted


def cases_of(target: Target, noted: Noted) -> Iterator[Case]:
    """All mutants of one module. Those that no test runs have no tests, and survive."""
    lines = {test: set(found["lines"].get(str(target.path), ())) for test, found in noted.items()}
    own = f"test_{target.path.name}"
    for mutant in mutants_of(target.path.read_text()):
        tests = [test for test, ran in lines.items() if mutant.line in ran]
        tests = tests or [test for test, ran in lines.items() if ran]  # lines that run at import
        seconds = {test: noted[test]["seconds"] for test in tests}
        its_own = [test for test in tests if Path(test.split("::")[0]).name == own]
        chosen = _fastest(its_own, seconds)
        chosen += [test for test in _fastest(tests, seconds) if test not in chosen]
        yield Case(target, mutant, tuple(chosen), sum(seconds[test] for test in chosen))


def _fastest(tests: list[str], seconds: dict[str, float]) -> list[str]:
    """As many tests as fit into the time limit, at least one."""
    in_order = sorted(tests, key=seconds.__getitem__)
    ends = list(accumulate(map(seconds.__getitem__, in_order)))
    return in_order[: max(1, bisect_right(ends, _TESTS_S))]


def survivors_of(cases: list[Case], processes: int, folder: Path) -> Iterator[Case]:
    jobs = ((case, partial(_try, case), case.seconds) for case in cases if case.tests)
    yield from (case for case in cases if not case.tests)
    for number, (case, done) in enumerate(run_all(jobs, processes, folder), 1):
        if done.code in (4, 5, 99):
            sys.exit(f"the tests of {case.name} could not be run:\n{done.output}")
        if done.code == 0:
            yield case
        if number % 50 == 0:
            print(f"{number} of {len(cases)}", flush=True)


def _try(case: Case) -> int:
    sys.meta_path.insert(0, Changed(case.target.module, case.target.path, case.mutant.source))
    return next((code for file in _files_of(case) if (code := run_tests([file], Chosen(case.tests)))), 0)


def _files_of(case: Case) -> list[str]:
    """One after the other: the first one mostly is enough, and imports and builds the least."""
    return list(dict.fromkeys(test.split("::")[0] for test in case.tests))


def _names(case: Case) -> set[tuple[str, str, str]]:
    """A line that fits into EQUIVALENTS."""
    file, line, change = case.name
    return {(file, line, change), (file, line, "*")}


def diff_of(case: Case) -> str:
    """The change as a unified diff, and as an entry of EQUIVALENTS."""
    was, now = case.target.path.read_text().splitlines(), case.mutant.source.splitlines()
    lines = difflib.unified_diff(was, now, case.target.short, case.target.short, lineterm="", n=1)
    return "\n".join(["", f"SURVIVED {case.name!r}", *lines])


if __name__ == "__main__":
    assert Path.cwd() == ROOT or (ROOT / "pyproject.toml").exists()
    main()
