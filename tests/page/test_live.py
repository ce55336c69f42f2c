"""The page of a real run, watched until its numbers are those that were read back from the topics."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.page.accessibility import violations
from tests.page.application import Application, running
from tests.page.browser import Browser
from tests.page.relay import relay
from tests.support.streams import wait_until

MESSAGES = 1_000
SEEN_S = 60.0


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with running(tmp_path_factory.mktemp("run")) as found:
        yield found


def shown(tab: Browser) -> dict[str, Any]:
    """Results, and dead letters by reason, as the page shows them."""
    reasons = [line.split() for line in tab.texts("[data-reasons=dead_letters] li")]
    return {
        "results": tab.texts("[data-value=results]"),
        "dead_letters": {reason: int(count.replace(",", "")) for reason, count in reasons},
        "lag": tab.texts("[data-value=lag]"),
    }


def test_numbers_become_those_that_were_read_back(tab: Browser, application: Application, pictures: Path) -> None:
    tab.open(application.url)
    totals = application.send(MESSAGES)
    assert (totals.sent, totals.duplicates) == (MESSAGES, 0)
    expected = {"results": [f"{totals.results:,}"], "dead_letters": dict(totals.dead_letters), "lag": ["0"]}
    wait_until(lambda: shown(tab) == expected, SEEN_S, f"{expected} on the page")
    assert tab.texts("#problems p") == ["None: all pipelines run."]
    assert len(tab.texts("#recent li .text")) > 1


def test_page_has_no_violation_in_any_look(tab: Browser, application: Application, pictures: Path) -> None:
    tab.open(application.url)
    with application.stream():
        wait_until(lambda: len(tab.texts(".legend li")) == 2, SEEN_S, "the shares of labels")
        tab.run("document.querySelector('#try-text').value = 'The garlic bread alone is worth the drive.'")
        tab.run("document.querySelector('#try button').click()")
        wait_until(lambda: "POSITIVE" in "".join(tab.texts("#try-answer")), SEEN_S, "the answer")
        for dark in (False, True):
            for width in (360, 768, 1_280):
                tab.look(dark, width)
                assert violations(tab) == [], (dark, width)
                assert tab.run("return document.documentElement.scrollWidth - innerWidth") <= 0, width
                tab.screenshot(pictures / f"live-{'dark' if dark else 'light'}-{width}.png")


def test_gone_viewers_give_their_places_back(tab: Browser, application: Application) -> None:
    tab.open(application.url)
    with httpx2.Client(base_url=application.url, trust_env=False) as client, ExitStack() as viewers:
        answers = [viewers.enter_context(client.stream("GET", "/page/events")) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        wait_until(lambda: ", 6 in flight" in tab.texts("#http")[0], SEEN_S, "the viewers")
    wait_until(lambda: ", 1 in flight" in tab.texts("#http")[0], SEEN_S, "the end of the viewers")


@pytest.mark.parametrize("loss", ["down", "silent"])
def test_dropped_connection_heals(tab: Browser, application: Application, loss: str) -> None:
    with relay(application.port) as network:
        tab.open(network.url)
        wait_until(lambda: "live" in tab.texts("#link")[0], SEEN_S, "the page")
        before = tab.texts("[data-value=results]")
        if loss == "down":
            network.down()
        network.state = loss
        wait_until(lambda: "no connection; connecting again" in tab.texts("#link")[0], SEEN_S, "the loss")
        expected = [f"{application.send(200).results:,}"]
        assert tab.texts("[data-value=results]") == before != expected
        network.state = "up"
        wait_until(lambda: tab.texts("[data-value=results]") == expected, SEEN_S, "the new numbers")
        assert "live" in tab.texts("#link")[0]
        tab.open("about:blank")
    assert all("net::" in error for error in tab.errors())
