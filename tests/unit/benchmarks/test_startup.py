"""What the benchmark of starts makes of commands and of what it has measured."""

import sys
from pathlib import Path

import pytest

from tests.benchmarks.startup import Case, Took, measure, table


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose Python prints its arguments, and ends with a 3 where one of them is `fail`."""
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!{sys.executable}\n"
        "import sys, time\n"
        "print(*sys.argv[1:], flush=True)\n"
        "if 'wait' in sys.argv: time.sleep(600)\n"
        "sys.exit(3 if 'fail' in sys.argv else 0)\n"
    )
    python.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("case", [Case(("classify",)), Case(("run", "wait"), "deploy.cli run")])
def test_command_is_measured_until_it_is_of_use(checkout: Path, case: Case) -> None:
    took = measure(checkout, case)
    assert took.wall_s > 0
    assert took.cpu_s >= 0


@pytest.mark.parametrize("case", [Case(("fail",)), Case(("run", "fail"), "everything runs")])
def test_failed_command_is_an_error_with_its_output(checkout: Path, case: Case) -> None:
    with pytest.raises(RuntimeError, match=r"-m labelstream\.deploy\.cli"):
        measure(checkout, case)


def test_table_has_medians_and_the_spread() -> None:
    taken = {("run", "/here"): [Took(3.0, 5.0), Took(2.0, 4.0), Took(9.0, 4.5)]}
    assert table(taken)[1].split() == ["run", "3.0", "(2.0", "to", "9.0)", "4.5", "(4.0", "to", "5.0)", "/here"]
