"""Labels and rates by windows of a few seconds, for the charts."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from labelstream.deploy.control.reports import Status
from labelstream.deploy.control.summary import PipelineView
from labelstream.workers.stream.stats import OTHER

WINDOW_S, KEPT = 5.0, 60
LABELS = 8  # of one model in one window; the others count as OTHER
Labels = dict[tuple[str, str], Counter[str]]  # by pipeline and model


class LabelWindows:
    """Keeps the last KEPT windows. `latest`: plain data, newest last."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._began_at = clock()
        self._before: dict[tuple[str, str], dict[str, dict[str, int]]] | None = None  # by pipeline and replica
        self._counted: Labels = {}
        self.latest: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, status: Status, pipelines: Iterable[PipelineView]) -> dict[str, Any] | None:
        """Count what is new in `status`. Returns the window if one ends now."""
        for pipeline, model, labels in self._new_labels(status):
            self._counted.setdefault((pipeline, model), Counter()).update(labels)
        now = self._clock()
        if now < self._began_at + WINDOW_S:
            return None
        window = {"at": now, "pipelines": {one.name: self._of(one) for one in pipelines}}
        self._began_at, self._counted = now, {}
        self.latest.append(window)
        return window

    def _new_labels(self, status: Status) -> Iterator[tuple[str, str, Counter[str]]]:
        """Labels since the call before. The first call only sets the start."""
        before, known = self._before, {}
        for pipeline, workers in status["pipelines"].items():
            for replica, report in workers.items():
                known[pipeline, replica] = report["labels"]
                if before is None:
                    continue
                earlier = before.get((pipeline, replica), {})
                for model, labels in report["labels"].items():
                    yield pipeline, model, Counter(labels) - Counter(earlier.get(model, {}))
        self._before = known

    def _of(self, pipeline: PipelineView) -> dict[str, Any]:
        labels = {model: _most(counts) for (name, model), counts in self._counted.items() if name == pipeline.name}
        return {"in_rate": pipeline.in_rate, "out_rate": pipeline.out_rate, "lag": pipeline.lag, "labels": labels}


def _most(counts: Counter[str]) -> dict[str, int]:
    """The counts of the LABELS most frequent labels, and of all others together."""
    most = dict(counts.most_common(LABELS))
    if rest := counts.total() - sum(most.values()):
        most[OTHER] = most.get(OTHER, 0) + rest
    return most
