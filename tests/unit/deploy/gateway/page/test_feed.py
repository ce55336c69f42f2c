"""One question for all viewers, and what becomes of slow ones."""

import asyncio

import pytest

from labelstream.deploy.gateway.page import feed as module
from labelstream.deploy.gateway.page.feed import EVENTS, UNREACHABLE, Viewer
from labelstream.deploy.gateway.served import NotReady
from tests.support.page import ABOUT, fake_feed, read_events

pytestmark = pytest.mark.anyio


async def everything(viewer: Viewer) -> list[str]:
    """Names of the events that wait."""
    found = []
    while (event := await viewer.next(0.01)) is not None:
        found += [name for name, _ in read_events(event.decode())]
    return found


async def test_viewers_share_one_question() -> None:
    feed, source = fake_feed()
    with feed.viewer() as one, feed.viewer() as other:
        assert [await everything(one), await everything(other)] == 2 * [["about", "history"]]
        await feed._ask()
        assert source.asked == 1
        assert [await everything(one), await everything(other)] == 2 * [["status"]]


async def test_new_viewer_gets_the_last_numbers_at_once() -> None:
    feed, _ = fake_feed()
    await feed._ask()
    with feed.viewer() as viewer:
        event = await viewer.next(1)
    assert event is not None
    found = dict(read_events(event.decode()))
    assert found["about"] == ABOUT
    assert found["status"]["pipelines"][0]["results"] == 5


async def test_slow_viewer_is_dropped_and_holds_little() -> None:
    feed, _ = fake_feed()
    with feed.viewer() as slow, feed.viewer() as quick:
        for _ in range(3 * EVENTS):
            await feed._ask()
            await everything(quick)
        assert slow.dropped
        assert not quick.dropped
        assert len(await everything(slow)) <= EVENTS + 1


@pytest.mark.parametrize(("max_requests", "viewers"), [(1, 1), (16, 4), (256, 64), (10_000, 64)])
async def test_viewers_take_a_share_of_the_requests(max_requests: int, viewers: int) -> None:
    feed, _ = fake_feed(max_requests)
    contexts = [feed.viewer() for _ in range(viewers)]
    for context in contexts:
        context.__enter__()
    with pytest.raises(NotReady, match=f"{viewers} viewers have the page open; try again later") as refused:
        feed.viewer().__enter__()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "10")
    contexts[0].__exit__(None, None, None)
    with feed.viewer():
        pass  # a place is free again


async def test_error_of_the_source_is_told_and_the_feed_goes_on() -> None:
    feed, source = fake_feed()
    with feed.viewer() as viewer:
        await everything(viewer)
        source.error = OSError("gone")
        await feed._ask()
        event = await viewer.next(1)
        assert event is not None
        assert list(read_events(event.decode())) == [("trouble", {"text": UNREACHABLE})]
        source.error = None
        await feed._ask()
        assert await everything(viewer) == ["status"]


async def test_viewer_wakes_a_feed_that_nobody_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNWATCHED_S", 1_000.0)
    feed, source = fake_feed()
    running = asyncio.create_task(feed.run())
    while source.asked < 1:
        await asyncio.sleep(0)
    with feed.viewer():
        async with asyncio.timeout(30):
            while source.asked < 2:
                await asyncio.sleep(0.01)
    running.cancel()


async def test_unwatched_feed_asks_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNWATCHED_S", 0.01)
    feed, source = fake_feed()
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(30):
        while source.asked < 3:  # the charts go on
            await asyncio.sleep(0.01)
    running.cancel()
