"""The smallest valid config, as the content of its file, and the error of an invalid one."""

from typing import Any

import pytest

from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError


def tree(**pipeline: Any) -> dict[str, Any]:
    """A valid config. `pipeline`: further keys of its only pipeline, `feedback`."""
    return {
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "models": {"sentiment": {"source": "/models/sst2"}},
        "pipelines": {
            "feedback": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "sentiment", **pipeline}
        },
    }


def config_error(config: dict[str, Any]) -> ConfigError:
    """The error that refuses `config`, in one line."""
    with pytest.raises(ConfigError) as caught:
        load_settings(config)
    assert "\n" not in str(caught.value)
    return caught.value
