"""The generated parts of each reference page; text around them is written by hand and stays.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
from collections.abc import Callable
from pathlib import Path

from docs.generate.commands import commands
from docs.generate.errors import config_errors, model_errors, start_errors, tree
from docs.generate.metrics import metrics_of
from docs.generate.payloads import (
    dead_letter_headers,
    message_fields,
    reasons,
    request_reasons,
    result_fields,
    stages,
)
from docs.generate.settings import settings
from docs.generate.versions import versions
from labelstream.deploy.observability.metrics.table import BOARD, MODEL, WORKER

REFERENCE = Path(__file__).parents[1] / "reference"
PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    REFERENCE / "configuration.md": {"keys": settings},
    REFERENCE / "cli.md": {"commands": commands},
    REFERENCE / "metrics.md": {
        "worker": lambda: metrics_of(WORKER),
        "control plane": lambda: metrics_of(BOARD),
        "model": lambda: metrics_of(MODEL),
    },
    REFERENCE / "messages.md": {
        "message": message_fields,
        "result": result_fields,
        "headers": dead_letter_headers,
        "stages": stages,
        "reasons": reasons,
        "request reasons": request_reasons,
    },
    REFERENCE / "compatibility.md": {"versions": versions},
    REFERENCE / "errors.md": {"tree": tree, "config": config_errors, "start": start_errors, "model": model_errors},
}
_PART = re.compile(r"(<!-- generated: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def regenerated(page: Path) -> str:
    """The text of `page` with each generated part made anew. Raises ValueError unless each stands there once."""
    text = page.read_text(encoding="utf-8")
    there, wanted = [part["name"] for part in _PART.finditer(text)], list(PAGES[page])
    if sorted(there) != sorted(wanted):
        raise ValueError(f"{page.name}: has the generated parts {there}; it needs {wanted}")
    return _PART.sub(lambda part: f"{part[1]}\n{PAGES[page][part['name']]().strip()}\n\n{part[3]}", text)
