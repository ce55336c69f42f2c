"""The revision that is served: waited for at first, and asked for once where it changes."""

import asyncio
import logging
from typing import Any

import pytest
from tenacity import AsyncRetrying, stop_after_attempt

from labelstream.deploy.model_client.served_model import ServedModel
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.errors import StartError
from tests.support.fake_handle import description


class Client:
    """Serves `revisions` in turn, the last one for good. `fail_next`: so many descriptions fail."""

    def __init__(self, *revisions: str) -> None:
        self.revisions, self.asked, self.fail_next = list(revisions), 0, 0

    async def describe(self) -> ModelDescription:
        await asyncio.sleep(0)
        self.asked += 1
        if self.fail_next:
            self.fail_next -= 1
            raise RuntimeError("no replica yet")
        if not self.revisions:
            await asyncio.Event().wait()
        return description(self.revisions.pop(0) if len(self.revisions) > 1 else self.revisions[0])


def served(client: Any) -> ServedModel:
    return ServedModel("m", client, AsyncRetrying(stop=stop_after_attempt(3)), 1_000)


def test_first_revision_is_asked_for_until_a_replica_answers() -> None:
    client = Client("one")
    client.fail_next = 2
    model = served(client)
    asyncio.run(model.first(5))
    assert (model.current.description.revision, client.asked) == ("one", 3)


def test_first_revision_that_does_not_come_names_the_model() -> None:
    with pytest.raises(StartError, match=r"model m: no replica is up after 0\.01 s; see `labelstream status`"):
        asyncio.run(served(Client()).first(0.01))


def test_change_that_many_calls_notice_is_asked_for_once(caplog: pytest.LogCaptureFixture) -> None:
    client = Client("one", "two", "three")
    model = served(client)

    async def noticed() -> list[str]:
        await model.first(5)
        old = model.current
        found = await asyncio.gather(*(model.after(old) for _ in range(4)))
        return [one.description.revision for one in found]

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(noticed()) == ["two"] * 4
    assert client.asked == 2
    assert [line.getMessage() for line in caplog.records] == ["model m: changed to revision two from one"]


def test_model_that_has_changed_since_is_not_asked_for_again() -> None:
    client = Client("one", "two")
    model = served(client)

    async def changed() -> None:
        await model.first(5)
        old = model.current
        newer = await model.after(old)
        assert await model.after(old) is newer

    asyncio.run(changed())
    assert client.asked == 2
