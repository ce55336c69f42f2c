"""Query and redrive dead letters; used by `labelstream dlq`, not by the worker."""
