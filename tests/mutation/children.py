"""Runs pytest in forked children that have the slow imports already, but not the modules under test.

A mutant is never written to disk: a finder in the child returns the changed source of the module.
"""

import contextlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutation.targets import ROOT

_PROFILE = "mutation"
_SPARE_CPU_S, _SPARE_S = 20, 120
_SPARE_BYTES = 8 << 30  # transformers takes 4 GB to cut two long texts, and tokenizers aborts without memory
_LISTED = (
    "-q",
    "-x",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--no-header",
    "--timeout=0",
    "--tb=line",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",  # hypothesis is imported already
)


class Done(NamedTuple):
    """`code`: pytest's exit code, negative for a signal. `output`: the printed text."""

    code: int
    output: str


def prepare() -> None:
    """Import slow modules, and have hypothesis search briefly and repeatably."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.chdir(ROOT)
    importlib.import_module("tests.conftest")  # one folder for all children, which do not live to remove theirs
    models: Any = importlib.import_module("tests.support.models")
    transformers: Any = importlib.import_module("transformers")
    for family in models.FAMILIES:
        name, _ = models._ARCHITECTURES[family]
        for kind in ("Config", "Tokenizer", "Model"):
            getattr(transformers, f"{name}{kind}")
    _ = transformers.pipeline, transformers.AutoModelForMaskedLM, transformers.AutoTokenizer
    settings.register_profile(
        _PROFILE,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    loaded = [name for name in sys.modules if name.startswith("labelstream.")]
    assert not loaded, f"{loaded} would stay as they are"


def run_all(
    jobs: Iterable[tuple[Any, Callable[[], int], float]], processes: int, folder: Path
) -> Iterator[tuple[Any, Done]]:
    """Run each job (key, what the child does, seconds that it may need) in a child, `processes` at a time."""
    running: dict[int, tuple[Any, Path, float]] = {}
    for number, (key, work, seconds) in enumerate(jobs):
        while len(running) >= processes:
            yield from _wait(running)
        output = folder / f"{number}.out"
        running[_fork(work, output, seconds)] = key, output, time.monotonic() + _SPARE_S + 20 * seconds
    while running:
        yield from _wait(running)


def _fork(work: Callable[[], int], output: Path, seconds: float) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.setsid()
        with output.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        limit = _SPARE_CPU_S + int(10 * seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        most = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        code = work()
    except MemoryError:
        code = 1  # the time limit noticed the change
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(running: dict[int, tuple[Any, Path, float]]) -> Iterator[tuple[Any, Done]]:
    done: list[tuple[int, int]] = []
    for child, (_, _, until) in running.items():
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            done.append((child, os.waitstatus_to_exitcode(status)))
        elif time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    for child, code in done:
        key, output, _ = running.pop(child)
        yield key, Done(code, output.read_text(errors="replace"))
        output.unlink()
    if not done:
        time.sleep(0.02)


def run_tests(files: Sequence[str], plugin: object) -> int:
    """In a child: pytest on `files`."""
    import torch

    torch.set_num_threads(1)
    return int(pytest.main([*_LISTED, *files], plugins=[plugin]))


class Plugin:
    """Of each run: the profile of `prepare`, whatever the tests' own conftest has loaded."""

    def pytest_pycollect_makemodule(self) -> None:
        settings.load_profile(_PROFILE)


class Chosen(Plugin):
    """These tests alone, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places), key=lambda item: self._places[item.nodeid]
        )


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `module` from `source` in place of its file."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self._module, self._path, self._source = module, path, source

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self, origin=str(self._path)) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        exec(compile(self._source, str(self._path), "exec"), module.__dict__)


class Traced(Plugin):
    """Records each test's time and the lines of `paths` that it ran, and writes both to `output`."""

    def __init__(self, paths: Iterable[str], output: Path) -> None:
        self._coverage = coverage.Coverage(data_file=None, include=list(paths))
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])  # not each file runs each module
        self._seconds: dict[str, float] = {}
        self._output = output

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        started = time.process_time()
        yield
        self._seconds[item.nodeid] = time.process_time() - started
        self._coverage.switch_context("")

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        found: dict[str, dict[str, Any]] = {
            test: {"seconds": seconds, "lines": {}} for test, seconds in self._seconds.items()
        }
        for path in data.measured_files():
            for line, tests in data.contexts_by_lineno(path).items():
                for test in filter(None, tests):
                    found[test]["lines"].setdefault(path, []).append(line)
        self._output.write_text(json.dumps(found))
