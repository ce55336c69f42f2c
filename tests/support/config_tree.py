"""The smallest valid config, as the content of its file."""

from typing import Any


def tree(**pipeline: Any) -> dict[str, Any]:
    """A valid config. `pipeline`: further keys of its only pipeline, `feedback`."""
    return {
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "models": {"sentiment": {"source": "/models/sst2"}},
        "pipelines": {
            "feedback": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "sentiment", **pipeline}
        },
    }
