"""resume and skip with a fake control plane."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labelstream.deploy.cli.operate.replay import Move
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import control_client
from tests.unit.deploy.cli.conftest import Run, fails

Told = list[tuple[str, str, dict[str, Any]]]
MakeControlPlane = Callable[..., Told]


@pytest.fixture
def make_control_plane(monkeypatch: pytest.MonkeyPatch) -> MakeControlPlane:
    """make_control_plane(r1=("done", "text"), r2=None): each worker's answer. The list records the commands."""

    def make(**workers: tuple[str, str] | None) -> Told:
        told: Told = []

        @contextmanager
        def joined(address: str) -> Iterator[None]:
            told.append((address, "", {}))
            yield

        def command(pipeline: str, order: dict[str, Any]) -> dict[str, Any]:
            told[-1] = (told[-1][0], pipeline, order)
            answers = {worker: {"status": answer[0], "text": answer[1]} for worker, answer in workers.items() if answer}
            return {"known": ["feedback", "logs"], "workers": sorted(workers), "answers": answers}

        monkeypatch.setattr(runtime, "joined", joined)
        monkeypatch.setattr(control_client, "command", command)
        return told

    return make


def test_resume_prints_answer_of_each_worker(run: Run, make_control_plane: MakeControlPlane) -> None:
    told = make_control_plane(r2=("absent", "the pipeline is not paused"), r1=("done", "goes on"))
    ended = run("resume", "feedback", "--address", "ray:1")
    assert (ended.code, ended.out) == (0, "r1: goes on\nr2: the pipeline is not paused\n")
    assert told == [("ray:1", "feedback", {"name": "resume"})]


def test_skip_prints_answer_of_partition_owner(run: Run, make_control_plane: MakeControlPlane) -> None:
    told = make_control_plane(
        r1=("absent", "in:0 is not assigned to this worker"), r2=("done", "in:0 resumes at 7"), r3=None
    )
    ended = run("skip", "feedback", "in:0:7", "--address", "auto")
    assert (ended.code, ended.out) == (0, "r2: in:0 resumes at 7\n")
    assert told == [("auto", "feedback", {"name": "skip", "topic": "in", "partition": 0, "offset": 7})]


def test_refused_commands_exit_with_their_reason(run: Run, make_control_plane: MakeControlPlane) -> None:
    make_control_plane(r1=("absent", "-"), r2=("refused", "in:0 is not halted"))
    fails(run("skip", "feedback", "in:0:7", "--address", "ray:1"), 1, "r2: in:0 is not halted")
    make_control_plane(r1=("absent", "-"))
    fails(run("skip", "feedback", "in:0:7", "--address", "ray:1"), 1, "no worker of pipeline feedback is assigned in:0")
    make_control_plane(r1=("absent", "-"), r2=None)
    fails(
        run("skip", "feedback", "in:0:7", "--address", "ray:1"),
        1,
        "1 worker of pipeline feedback gave no answer within 30 s (r2)",
    )
    make_control_plane(r1=None)
    fails(run("resume", "feedback", "--address", "ray:1"), 1, "gave no answer")
    make_control_plane()
    fails(run("resume", "feedback", "--address", "ray:1"), 1, "no worker of pipeline feedback reports")
    make_control_plane()
    fails(run("resume", "feedbak", "--address", "ray:1"), 2, "no pipeline 'feedbak'; give one of feedback, logs")


@pytest.mark.parametrize("place", ["in:0", "in:0:-1", "in:a:1", "in 0:1:2", "in:0:1:2", "in:0:\n1"])
def test_invalid_place_is_refused(run: Run, place: str) -> None:
    fails(run("skip", "feedback", place), 2, "is not TOPIC:PARTITION:OFFSET")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "needs exactly one of --to-time"),
        (("--to-earliest", "--to-latest"), "needs exactly one of --to-time"),
        (("--to-time", "yesterday", "--yes"), "'yesterday' is not a time"),
        (("--to-offset", "in:0", "--yes"), "is not TOPIC:PARTITION:OFFSET"),
        (("--to-offset", "out:0:1", "--yes"), "out is not an input topic of the pipeline; it reads in"),
    ],
)
def test_replay_checks_options_without_a_broker(
    run: Run, write_config: Callable[..., str], arguments: tuple[str, ...], part: str
) -> None:
    fails(run("replay", "feedback", "-c", write_config(), *arguments), 2, part)
    fails(run("replay", "feedbak", "-c", write_config(), *arguments), 2, "give one of feedback")


def test_effect_counts_messages_again_or_skipped() -> None:
    assert Move(0, 50, 50, 20).effect() == "up to 30 messages again"
    assert Move(0, 20, 20, 21).effect() == "up to 1 message skipped"
    assert Move(0, 20, 20, 20).effect() == "-"


def test_effect_without_committed_offset_counts_from_start() -> None:
    assert Move(0, None, 0, 100).effect() == "up to 100 messages skipped"
    assert Move(0, None, 100, 0).effect() == "up to 100 messages more"
    assert Move(0, None, 20, 20).effect() == "-"


def test_effect_excludes_messages_deleted_by_retention() -> None:
    assert Move(0, 10, 30, 35).effect() == "up to 5 messages skipped"
