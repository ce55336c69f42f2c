"""The error that refuses a model's folder."""

from pathlib import Path
from typing import Any

import pytest

from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError


def refusal(source: Path | str, **options: Any) -> str:
    """The line that `load` raises; on a CPU unless `options` name a device."""
    with pytest.raises(ModelError) as caught:
        load(str(source), ModelOptions(**{"device": "cpu", **options}))
    assert "\n" not in str(caught.value)
    return str(caught.value)
