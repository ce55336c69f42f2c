"""Requests that repeat, as log lines do: each different one is tokenized and computed once. No torch."""

from collections.abc import Sequence

from labelstream.workers.classifier import Request
from labelstream.workers.engine.tasks.base import Prepared, Task


class Deduplicating:
    """A task that does for each different request of a call what `task` does. Satisfies `Task`.

    Equal requests ask for the same in every field, so that one answer is all of theirs.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        places: dict[Request, int] = {}
        try:
            order = [places.setdefault(request, len(places)) for request in requests]
        except TypeError:  # unhashable, as a list of labels is
            return self._task.prepare(requests)
        if len(places) == len(requests):
            return self._task.prepare(requests)
        return self._task.prepare(list(places))._replace(order=order)
