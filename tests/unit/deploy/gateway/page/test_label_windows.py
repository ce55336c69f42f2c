"""Counts of labels by window."""

from typing import Any

from labelstream.deploy.control.summary import StatusView
from labelstream.deploy.gateway.page.label_windows import KEPT, LABELS, WINDOW_S, LabelWindows
from tests.support.clock import Clock
from tests.support.reports import pipeline_report


def status(**labels_of: Any) -> Any:
    """The status of pipeline p. `labels_of`: of each replica."""
    return {
        "pipelines": {"p": {replica: pipeline_report(labels={"m": labels}) for replica, labels in labels_of.items()}},
        "models": {},
    }


def added(windows: LabelWindows, found: Any) -> Any:
    return windows.add(found, StatusView().pipelines(found))


def labels(window: Any) -> Any:
    return window["pipelines"]["p"]["labels"]


def test_window_counts_what_is_new() -> None:
    clock = Clock()
    windows = LabelWindows(clock)
    assert added(windows, status(r1={"yes": 100})) is None  # labels from before the start
    clock.now += WINDOW_S / 2
    assert added(windows, status(r1={"yes": 103})) is None
    clock.now += WINDOW_S / 2
    window = added(windows, status(r1={"yes": 104, "no": 1}, r2={"yes": 5}))
    assert labels(window) == {"m": {"yes": 9, "no": 1}}
    assert window["at"] == clock.now
    clock.now += WINDOW_S
    assert labels(added(windows, status(r2={"yes": 5}))) == {"m": {}}


def test_restarted_worker_counts_from_zero() -> None:
    clock = Clock()
    windows = LabelWindows(clock)
    added(windows, status(r1={"yes": 100}))
    clock.now += WINDOW_S
    assert labels(added(windows, status(r1={"yes": 3}))) == {"m": {}}
    clock.now += WINDOW_S
    assert labels(added(windows, status(r1={"yes": 7}))) == {"m": {"yes": 4}}


def test_rare_labels_count_as_other() -> None:
    clock = Clock()
    windows = LabelWindows(clock)
    added(windows, status(r1={}))
    clock.now += WINDOW_S
    many = {f"l{number}": 10 + number for number in range(LABELS + 2)}
    found = labels(added(windows, status(r1=many)))["m"]
    assert len(found) == LABELS + 1
    assert (found["(other)"], sum(found.values())) == (10 + 11, sum(many.values()))


def test_old_windows_are_forgotten() -> None:
    clock = Clock()
    windows = LabelWindows(clock)
    for _ in range(KEPT + 5):
        clock.now += WINDOW_S
        added(windows, status(r1={}))
    assert len(windows.latest) == KEPT
