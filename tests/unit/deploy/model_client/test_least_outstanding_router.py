"""Calls go where the fewest are, by Serve's own machinery, to replicas that only say how much they have to do."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from ray.serve._private.common import DeploymentHandleSource, DeploymentID, ReplicaID, RequestMetadata
from ray.serve.request_router import PendingRequest

from labelstream.deploy.model_client.least_outstanding_router import LeastOutstandingRouter

MODEL = DeploymentID("model-m", "app")


class Replica:
    """`busy`: the calls that it has."""

    max_ongoing_requests = 64

    def __init__(self, name: str, busy: int = 0) -> None:
        self.replica_id, self.busy = ReplicaID(name, MODEL), busy
        self.asked = 0

    async def get_queue_len(self, *, deadline_s: float) -> int:
        self.asked += 1
        return self.busy


def routed(replicas: list[Replica], act: Callable[[LeastOutstandingRouter], Coroutine[Any, Any, Any]]) -> Any:
    async def play() -> Any:
        router = LeastOutstandingRouter(
            MODEL, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True, get_curr_time_s=lambda: 1.0
        )
        router.update_replicas(list(replicas))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)  # it asks new replicas
        return await act(router)

    return asyncio.run(play())


async def call(router: LeastOutstandingRouter, number: int) -> ReplicaID:
    metadata = RequestMetadata(request_id=str(number), internal_request_id=str(number))
    replica = await router._choose_replica_for_request(PendingRequest([], {}, metadata))
    router.on_send_request(replica.replica_id)
    return replica.replica_id


def test_calls_spread_evenly_whatever_their_number() -> None:
    async def act(router: LeastOutstandingRouter) -> Counter[ReplicaID]:
        return Counter([await call(router, number) for number in range(48)])

    assert list(routed([Replica(f"r{number}") for number in range(16)], act).values()) == [3] * 16


def test_the_next_call_goes_where_one_has_ended() -> None:
    replicas = [Replica(f"r{number}") for number in range(8)]

    async def act(router: LeastOutstandingRouter) -> None:
        for number in range(16):
            await call(router, number)
        for replica in replicas[3:5]:
            router.on_request_completed(replica.replica_id, "0")
        assert {await call(router, 16), await call(router, 17)} == {replica.replica_id for replica in replicas[3:5]}

    routed(replicas, act)


def test_caller_spreads_own_calls_despite_stale_queue_lengths() -> None:
    replicas = [Replica("quiet"), Replica("was busy", 5)]

    async def act(router: LeastOutstandingRouter) -> Counter[str]:
        return Counter([(await call(router, number)).unique_id for number in range(10)])

    assert routed(replicas, act) == {"quiet": 5, "was busy": 5}


def test_a_replica_that_is_full_or_gone_is_passed_over() -> None:
    replicas = [Replica("full", 64), Replica("free")]

    async def act(router: LeastOutstandingRouter) -> set[str]:
        chosen = {(await call(router, number)).unique_id for number in range(5)}
        router.update_replicas([replicas[0]])  # type: ignore[list-item]
        replicas[0].busy = 0
        return chosen | {(await asyncio.wait_for(call(router, 5), 5)).unique_id}

    assert routed(replicas, act) == {"free", "full"}


def test_what_is_counted_ends_with_the_calls() -> None:
    async def act(router: LeastOutstandingRouter) -> None:
        sent = [await call(router, number) for number in range(7)]
        for number, replica in enumerate(sent):
            router.on_request_completed(replica, str(number))
        assert not router._sent

    routed([Replica("a"), Replica("b")], act)


def test_a_full_model_is_asked_again_until_there_is_room() -> None:
    replica = Replica("full", 64)

    async def act(router: LeastOutstandingRouter) -> None:
        waiting = asyncio.create_task(call(router, 1))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert 1 < replica.asked < 50  # with pauses in between
        replica.busy = 3
        assert await asyncio.wait_for(waiting, 5) == replica.replica_id

    routed([replica], act)
