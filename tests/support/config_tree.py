"""The smallest config that is valid, as its file's content."""

from typing import Any


def tree(**pipeline: Any) -> dict[str, Any]:
    """`pipeline`: more keys of its one pipeline, `feedback`."""
    return {
        "kafka": {"bootstrap_servers": "localhost:9092"},
        "models": {"sentiment": {"source": "/models/sst2"}},
        "pipelines": {
            "feedback": {"input": "in", "output": "out", "dead_letter": "dlq", "model": "sentiment", **pipeline}
        },
    }
