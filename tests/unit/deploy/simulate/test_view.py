"""What a policy sees."""

from labelstream.deploy.simulate.view import MODEL, PIPELINE, View
from labelstream.deploy.simulate.world import run
from tests.support.simulated import CLUSTER, Fixed, trace


class Noting(Fixed):
    """Keeps what each view shows."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.lags: list[int | None] = []
        self.calls: list[float] = []
        self.readings: list[bool] = []
        self.replicas: list[int] = []

    def decide(self, view: View) -> tuple[int, int]:
        readings = view.readings()
        self.lags.append(view.lag())
        self.calls.append(view.ongoing())
        self.readings.append(readings.pipelines[PIPELINE].backlog is not None)
        self.replicas.append(len(readings.models[MODEL]))
        return super().decide(view)


def test_dead_broker_shows_no_backlog_and_the_replicas_all_the_same() -> None:
    noting = Noting()
    run(trace(*[2_000] * 3, down=(1, 2)), CLUSTER, noting, 30)
    assert noting.lags[1] is None
    assert noting.readings == [True, False, True]
    assert noting.replicas[1] > 0


def test_backlog_is_that_of_the_committed_offsets() -> None:
    noting = Noting()
    outcome = run(trace(2_000, 0, 0, 0, 0), CLUSTER, noting, 30)
    assert noting.lags[0] == 2_000  # the first second's work is done and not committed
    assert noting.lags[-1] == outcome.lag[-1] == 0
    assert noting.calls[0] > noting.calls[-1] == 0
