"""The rules of the layout: small folders, each with its sentence, and a test where its code stands."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PARTS = ("workers", "deploy", "schemas", "docs")
MAX_MODULES = 12
FOLDERS = [
    folder
    for part in PARTS
    for folder in sorted([ROOT / part, *(ROOT / part).rglob("*")])
    if folder.is_dir() and any(folder.glob("*.py"))
]
# Tests that belong to no single module of their folder, each with the reason.
OF_NO_MODULE = {
    "deploy/cli/test_commands.py": "runs the whole command",
    "deploy/cli/test_examples.py": "checks deploy/examples by the command",
    "workers/engine/tasks/test_zero_shot_answers.py": "checks zero_shot.py on logits; test_zero_shot.py runs models",
    "workers/engine/test_imports.py": "looks at what all modules of the engine import",
    "workers/engine/test_parity.py": "compares the whole engine with transformers",
    "workers/engine/test_parity_texts.py": "compares the whole engine with transformers, for any text",
}
_DIALECTS = "tests/unit/deploy/gateway/dialects"
# Modules without a test of their name, each with the reason, which names the test that runs them.
WITHOUT_TEST: dict[str, str] = {
    "workers/engine/inference/backend.py": "protocols; see tests/unit/workers/engine/inference/test_predictor.py",
    "workers/engine/inspection/inspect_files.py": "tests/unit/workers/engine/inspection/test_child_process.py runs it",
    "workers/settings/environment.py": "tests/unit/workers/test_config_file.py sets variables",
    "workers/stream/report.py": "types; tests/unit/workers/stream/test_worker.py reads a report",
    "deploy/cli/__main__.py": "calls main.py; tests/unit/deploy/cli/models/test_fetch.py runs it in a process",
    "deploy/cli/bench/options.py": "types of options, which tests/unit/deploy/cli/bench/test_commands.py gives",
    "deploy/cli/evaluation/evaluating.py": "tests/unit/deploy/cli/evaluation/test_command.py runs it",
    "deploy/cli/evaluation/results.py": "tests/unit/deploy/cli/evaluation/test_command.py reads both files",
    "deploy/gateway/dialects/huggingface/bodies.py": f"{_DIALECTS}/huggingface/test_router.py sends them",
    "deploy/gateway/dialects/huggingface/tasks.py": f"{_DIALECTS}/huggingface/test_router.py compares the answers",
    "deploy/gateway/dialects/tei/bodies.py": f"{_DIALECTS}/tei/test_router.py sends them",
    "deploy/gateway/dialects/tei/errors.py": f"{_DIALECTS}/tei/test_router.py provokes them",
    "deploy/gateway/dialects/tei/info.py": f"{_DIALECTS}/tei/test_router.py validates it by the published schema",
    "deploy/gateway/dialects/tei/metrics.py": f"{_DIALECTS}/tei/test_router.py reads them",
    "deploy/gateway/http_gateway.py": "a Serve replica, which tests/integration/test_http.py runs",
    "deploy/control/scaling/readings.py": "tuples, which tests/unit/deploy/control/scaling/test_estimator.py fills",
    "docs/generate/__main__.py": "writes what tests/unit/docs/generate/test_pages.py compares",
}


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def imported(path: Path) -> set[str]:
    """The dotted names of all that a module imports, with the names that it takes from them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=short)
def test_folder_has_few_modules(folder: Path) -> None:
    modules = sorted(path.name for path in folder.glob("*.py") if path.name != "__init__.py")
    assert len(modules) <= MAX_MODULES, modules


@pytest.mark.parametrize("folder", FOLDERS, ids=short)
def test_folder_says_in_one_sentence_what_it_holds(folder: Path) -> None:
    sentence = docstring(folder / "__init__.py")
    assert re.findall(r"[.?!](?=\s|$)", sentence) == [sentence[-1:]], sentence


def test_no_test_imports_from_another_test() -> None:
    modules = sorted(TESTS.rglob("*.py"))
    assert modules
    for module in modules:
        names = {name for name in imported(module) if name.startswith(("tests.", "."))}
        others = {name for name in names if any(piece.startswith("test_") for piece in name.split(".")[1:])}
        assert others == set(), short(module)


@pytest.mark.parametrize("part", PARTS)
def test_test_stands_where_its_code_stands(part: str) -> None:
    """`tests/unit/FOLDER/test_NAME.py` is of a module, a folder or another file NAME in FOLDER."""
    unit = TESTS / "unit"
    tests = sorted((unit / part).rglob("test_*.py"))
    assert tests
    astray = []
    for test in tests:
        place, name = test.relative_to(unit), test.stem.removeprefix("test_")
        there = {path.stem.lower() for path in (ROOT / place.parent).glob("[!_]*")}
        if name not in there and str(place) not in OF_NO_MODULE:
            astray.append(str(place))
    assert astray == []


def test_exceptions_are_of_tests_that_there_are() -> None:
    assert [place for place in OF_NO_MODULE if not (TESTS / "unit" / place).is_file()] == []


def test_module_has_a_test_of_its_name_or_a_reason() -> None:
    modules = {short(path) for folder in FOLDERS for path in folder.glob("*.py") if path.name != "__init__.py"}
    tested = {module for module in modules if (TESTS / "unit" / module).with_name(f"test_{Path(module).name}").exists()}
    assert sorted(modules - tested - set(WITHOUT_TEST)) == []


def test_module_without_test_is_one_that_has_none() -> None:
    for module, reason in WITHOUT_TEST.items():
        place = ROOT / module
        assert place.is_file(), module
        assert not (TESTS / "unit" / module).with_name(f"test_{place.name}").exists(), f"{module} has a test by now"
        assert any((ROOT / word.strip(",;")).exists() for word in reason.split() if "tests/" in word), reason
