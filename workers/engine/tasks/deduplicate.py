"""Computes equal requests of a call, such as repeated log lines, only once. No torch."""

from collections.abc import Sequence

from labelstream.workers.classifier import Request
from labelstream.workers.engine.tasks.base import Prepared, Task


class Deduplicating:
    """A `Task` that passes each distinct request of a call to `task` once.

    Requests are equal if all of their fields are, so they have the same answer.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """See `Task.prepare`."""
        places: dict[Request, int] = {}
        try:
            order = [places.setdefault(request, len(places)) for request in requests]
        except TypeError:  # an unhashable field, such as a list of labels
            return self._task.prepare(requests)
        if len(places) == len(requests):
            return self._task.prepare(requests)
        return self._task.prepare(list(places))._replace(order=order)
