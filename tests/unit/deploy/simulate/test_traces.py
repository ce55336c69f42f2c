"""Built-in traces, and traces from a file."""

from pathlib import Path

import numpy as np
import pytest

from labelstream.deploy.simulate.traces import KINDS, read_csv, shipped
from labelstream.workers.errors import ConfigError


def test_built_in_traces_depend_on_seed_alone() -> None:
    one, again, other = shipped(1), shipped(1), shipped(2)
    assert [made.name for made in one] == list(KINDS)
    for left, right, far in zip(one, again, other, strict=True):
        assert (left.arrivals == right.arrivals).all()
        assert left.arrivals.shape != far.arrivals.shape or (left.arrivals != far.arrivals).any()
    spike = one[2].arrivals.sum(axis=1)
    assert np.percentile(spike, 99.9) / np.median(spike) == pytest.approx(20, rel=0.3)


def test_dead_broker_receives_and_loses_nothing() -> None:
    made = {trace.name: trace for trace in shipped(3)}["dead broker"]
    assert made.down.any()
    assert made.arrivals[made.down].sum() == 0
    behind = int(np.flatnonzero(made.down)[-1]) + 1
    rates = made.arrivals.sum(axis=1)
    assert rates[behind : behind + 60].mean() > 3 * np.median(rates[: np.flatnonzero(made.down)[0]])


def test_skew_is_one_partition() -> None:
    made = {trace.name: trace for trace in shipped(1)}["skewed partitions"]
    shares = made.arrivals.sum(axis=0) / made.arrivals.sum()
    assert np.sort(shares)[-1] > 0.5 > 0.1 > np.sort(shares)[-2]


def read(tmp_path: Path, text: str, tick_s: float = 1.0) -> list[list[int]]:
    path = tmp_path / "day.csv"
    path.write_text(text, encoding="utf-8")
    return read_csv(path, 2, tick_s).arrivals.tolist()


def test_row_spreads_until_the_next_time(tmp_path: Path) -> None:
    assert read(tmp_path, "seconds,messages\n0,8\n2,4\n") == [[2, 2], [2, 2], [1, 1], [1, 1]]


def test_partition_of_a_row_gets_it_all(tmp_path: Path) -> None:
    assert read(tmp_path, "seconds,messages,partition\n10,4,1\n10,2,0\n11,6,\n") == [[2, 4], [3, 3]]


def test_fractions_add_up_to_whole_messages(tmp_path: Path) -> None:
    found = np.array(read(tmp_path, "seconds,messages\n0,7\n5,7\n", tick_s=1.0))
    assert found.min() >= 0
    assert found.sum() in (12, 13, 14)


def test_trace_has_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "monday.csv").write_text("seconds,messages\n0,1\n1,1\n")
    made = read_csv(tmp_path / "monday.csv", 1)
    assert (made.name, made.tick_s, made.down.any()) == ("monday", 1.0, False)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seconds,messages\n0,1\n", "fewer than two times"),
        ("seconds,messages\n5,1\n0,1\n", "times are not sorted"),
        ("seconds,messages\n0,1\n1,many\n", r"csv:3: not a row of seconds,messages"),
        ("time,count\n0,1\n", r"csv:2: not a row of seconds,messages"),
        ("seconds,messages\n0,-1\n1,1\n", r"csv:2: negative number of messages"),
        ("seconds,messages,partition\n0,1,2\n1,1,0\n", "use partitions 0 to 1, or set --partitions"),
    ],
)
def test_wrong_file_is_named_with_its_line(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        read(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read \(No such file or directory\)"):
        read_csv(tmp_path / "none.csv", 2)
