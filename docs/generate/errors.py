"""The errors that name a fix, by their class and by the part of the code that raises them."""

import re
from collections.abc import Iterable
from itertools import groupby

from docs.generate.error_texts import ErrorText, error_texts
from docs.generate.markdown import code, item, paragraph, sentence, with_code
from labelstream.workers import errors

# By the beginning of a module's path; the first that fits.
AREAS = {
    "workers/config": "Config file and environment",
    "workers/settings/": "Config file and environment",
    "workers/engine/options.py": "Config file and environment",
    "workers/stream/broker/": "Brokers, topics and groups",
    "workers/stream/delivery/": "Transactions",
    "workers/stream/dlq/": "Redrives",
    "workers/stream/": "Workers",
    "workers/engine/backends/openvino/": "OpenVINO",
    "workers/engine/inspection/": "Model files",
    "workers/engine/": "Models",
    "workers/": "Other",
    "deploy/cluster/": "This machine and the cluster",
    "deploy/cli/": "Commands",
    "deploy/bench/": "Benchmarks and simulations",
    "deploy/simulate/": "Benchmarks and simulations",
    "deploy/": "Application",
}


def config_errors() -> str:
    return _listed("ConfigError")


def start_errors() -> str:
    return _listed("StartError")


def model_errors() -> str:
    return _listed("ModelError")


def tree() -> str:
    """The classes of errors, as the docstring of `labelstream.workers.errors` draws them."""
    lines = re.findall(r"^([│├└─ ]*)(\w+Error|\w+)(?: {2,}(.+))?$", errors.__doc__ or "", re.MULTILINE)
    return "\n".join(
        paragraph(f"{code(name)}{': ' * bool(text)}{text}", f"{depth}- ", f"{depth}  ")
        for branch, name, text in lines
        for depth in ["  " * (len(branch) // 4)]
    )


def _listed(error: str) -> str:
    order = list(dict.fromkeys(AREAS.values()))
    texts = sorted((text for text in error_texts() if text.error == error), key=lambda text: order.index(_area(text)))
    return "\n\n".join(f"### {error}: {area}\n\n{_items(group)}" for area, group in groupby(texts, _area))


def _area(text: ErrorText) -> str:
    return next(area for beginning, area in AREAS.items() if text.module.startswith(beginning))


def _items(texts: Iterable[ErrorText]) -> str:
    fixes: dict[str, list[str]] = {}
    for text in texts:
        fixes.setdefault(text.problem, []).extend([text.fix] if text.fix else [])
    return "\n".join(item(_entry(problem, list(dict.fromkeys(found)))) for problem, found in fixes.items())


def _entry(problem: str, fixes: list[str]) -> str:
    return f"{code(problem)}{': ' if fixes else ''}{' Or: '.join(sentence(with_code(fix)) for fix in fixes)}"
