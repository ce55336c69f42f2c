"""The page in a browser with numbers of a test: foreign text, problems, token, keyboard, lost connections."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.gateway.page.page import Page
from labelstream.deploy.gateway.server.http_app import build_app
from labelstream.deploy.gateway.server.ongoing import Requests
from labelstream.workers.settings.http import HttpSettings
from tests.page.accessibility import violations
from tests.page.browser import Browser
from tests.support.gateway import CLASSIFIER, EngineServed, serving, small_models
from tests.support.page import EVIL, FakeSource, fake_feed
from tests.support.streams import wait_until

ENTER, TAB = "\ue007", "\ue004"
SEEN_S = 20.0


class Site:
    """A gateway in this process. `url`: its address."""

    def __init__(self, stack: ExitStack, served: EngineServed, token: str | None, **http: Any) -> None:
        settings = HttpSettings(page=True, **http)
        self.requests = Requests(settings.max_ongoing_requests)
        feed, self.source = fake_feed(settings.max_ongoing_requests, CLASSIFIER)
        self.page = Page(feed, token is not None, lambda: self.requests.draining)
        self.url = stack.enter_context(serving(build_app(served, settings, token, self.requests, page=self.page)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServed]:
    with small_models(tmp_path_factory.mktemp("models")) as found:
        yield found


@pytest.fixture
def site(served: EngineServed) -> Iterator[Callable[..., Site]]:
    """site(token=None, **http): a gateway until the end of the test."""
    with ExitStack() as stack:
        yield lambda token=None, **http: Site(stack, served, token, **http)


def is_live(tab: Browser) -> bool:
    return tab.texts("#link") == ["● live"] or tab.texts("#link") == ["live"]


def opened(tab: Browser, site: Site) -> None:
    tab.open(site.url)
    wait_until(lambda: is_live(tab), SEEN_S, "the page")


def test_foreign_text_is_text(site: Callable[..., Site], tab: Browser) -> None:
    opened(tab, site())
    wait_until(lambda: EVIL in "".join(tab.texts("#recent")), SEEN_S, "the text")
    assert tab.run("return [document.title, document.images.length]") == ["Labelstream", 1]


def test_tokens_and_embeddings_are_among_the_last_results(
    site: Callable[..., Site], tab: Browser, pictures: Path
) -> None:
    made = site()
    [one] = made.source.recent
    token = {**one, "place": "in:0:8", "label": EVIL, "score": 0.5, "others": [("Rome", 0.25), (EVIL, 0.125)]}
    embedding = {**one, "place": "in:0:9", "label": "384 dimensions", "score": None}
    made.source.recent = [one, token, embedding]
    opened(tab, made)
    wait_until(lambda: len(tab.texts("#recent li")) == 3, SEEN_S, "the results")
    assert tab.texts("#recent .label") == ["384 dimensions", EVIL, EVIL]
    assert tab.texts("#recent .score") == ["", "0.500", "0.900"]
    assert tab.texts("#recent li .hint")[1] == f"or Rome 0.250, or {EVIL} 0.125"
    assert tab.run("return document.querySelectorAll('#recent .swatch').length") == 1
    assert violations(tab) == []
    tab.screenshot(pictures / "tokens.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_280], ids=["phone", "desktop"])
def test_problems_are_told_with_what_to_do(
    site: Callable[..., Site], tab: Browser, dark: bool, width: int, pictures: Path
) -> None:
    opened(tab, site())
    tab.look(dark, width)
    wait_until(lambda: "paused: the model fails" in "".join(tab.texts("#problems")), SEEN_S, "the alarm")
    shown = "".join(tab.texts("#problems"))
    assert "see labelstream dlq list -c FILE p" in shown
    assert "What each alarm means: docs/how-to/runbooks/LabelstreamAlarm.md" in shown
    assert violations(tab) == []
    assert tab.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    tab.screenshot(pictures / f"problems-{'dark' if dark else 'light'}-{width}.png")


def test_text_is_classified_by_keyboard_alone(site: Callable[..., Site], tab: Browser) -> None:
    opened(tab, site())
    tab.press(TAB, ENTER)  # the link that skips the header
    assert tab.run("return location.hash") == "#main"
    for _ in range(9):
        if tab.run("return document.activeElement.id") == "try-text":
            break
        tab.press(TAB)
    tab.press(*"a fine day", TAB, ENTER)
    wait_until(lambda: "a\n" in "".join(tab.texts("#try-answer")), SEEN_S, "the answer")
    assert len(tab.texts("#try-answer li")) == 3
    assert violations(tab) == []


def test_refused_text_shows_why(site: Callable[..., Site], tab: Browser, served: EngineServed) -> None:
    made = site(max_request_bytes=1_024)
    opened(tab, made)
    tab.run(
        "document.querySelector('#try-text').value = 'x'.repeat(2000); document.querySelector('#try button').click()"
    )
    wait_until(lambda: "the body has more than 1024 bytes" in "".join(tab.texts("#try-answer")), SEEN_S, "the error")
    assert all("413" in error for error in tab.errors())


def test_token_is_asked_for_and_kept_for_the_tab(site: Callable[..., Site], tab: Browser, pictures: Path) -> None:
    made = site("secret")
    tab.open(made.url)
    wait_until(lambda: tab.texts("#link") == ["token needed"], SEEN_S, "the question")
    assert tab.errors() == []
    assert violations(tab) == []
    tab.screenshot(pictures / "token.png")
    tab.press(*"wrong", ENTER)
    wait_until(lambda: tab.texts("#login-error") == ["The token is wrong."], SEEN_S, "the refusal")
    assert all("401" in error for error in tab.errors())
    tab.press(*"secret", ENTER)
    wait_until(lambda: is_live(tab), SEEN_S, "the numbers")
    tab.open(made.url)
    wait_until(lambda: is_live(tab), SEEN_S, "the numbers without a question")
    assert "secret" not in tab.run("return location.href + document.documentElement.outerHTML + document.cookie")


def test_viewer_without_a_place_says_so_and_tries_again(site: Callable[..., Site], tab: Browser) -> None:
    made = site(max_ongoing_requests=4)
    with made.page.feed.viewer():
        tab.open(made.url)
        wait_until(lambda: "viewers have the page open" in tab.texts("#link")[0], SEEN_S, "the refusal")
        assert all("503" in error for error in tab.errors())
    wait_until(lambda: is_live(tab), 2 * SEEN_S, "the numbers")
    tab.errors()


def test_old_numbers_are_named(site: Callable[..., Site], tab: Browser) -> None:
    made = site()
    opened(tab, made)
    made.source.error = OSError("gone")
    wait_until(lambda: "the control plane does not answer" in tab.texts("#link")[0], SEEN_S, "the trouble")
    made.source.error = None
    wait_until(lambda: is_live(tab), SEEN_S, "the numbers")


def test_stream_that_ends_begins_again(site: Callable[..., Site], tab: Browser) -> None:
    made = site()
    opened(tab, made)
    made.requests.draining = True
    wait_until(lambda: "the gateway is stopping" in tab.texts("#link")[0], SEEN_S, "the end")
    made.requests.draining = False
    made.source.report["results_out"] = 77
    wait_until(lambda: is_live(tab) and tab.texts("[data-value=results]") == ["77"], 2 * SEEN_S, "the new numbers")
    assert all("503" in error for error in tab.errors())


def test_application_without_pipelines_shows_its_models(site: Callable[..., Site], tab: Browser) -> None:
    made = site()
    source: FakeSource = made.source
    source.pipelines = False
    opened(tab, made)
    wait_until(lambda: tab.texts("#models h3") == ["m"], SEEN_S, "the model")
    assert tab.run("return [document.querySelector('#problems').hidden, document.querySelector('#recent').hidden]") == [
        True,
        True,
    ]
    assert violations(tab) == []
