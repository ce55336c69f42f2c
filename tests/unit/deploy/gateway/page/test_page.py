"""The page without a browser: files, headers, token, and events over HTTP."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from labelstream.deploy.gateway.page.page import FILES, Page
from labelstream.deploy.gateway.server.http_app import build_app
from labelstream.deploy.gateway.server.ongoing import Requests
from labelstream.workers.settings.http import HttpSettings
from tests.support.gateway import EngineServed, serving
from tests.support.page import ABOUT, EVIL, FakeSource, fake_feed, read_events

HTML = {"accept": "text/html,application/xhtml+xml"}


class Site:
    """A gateway with the page. `url`: its address."""

    def __init__(self, token: str | None = None, **http: Any) -> None:
        settings = HttpSettings(page=True, **http)
        self.requests = Requests(settings.max_ongoing_requests)
        feed, self.source = fake_feed(settings.max_ongoing_requests)
        page = Page(feed, token is not None, lambda: self.requests.draining)
        self.app = build_app(EngineServed({}), settings, token, self.requests, page=page)


@contextmanager
def opened(site: Site) -> Iterator[httpx2.Client]:
    with serving(site.app) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        yield client


def events_of(client: httpx2.Client, count: int, **headers: str) -> list[tuple[str, Any]]:
    """The first `count` events."""
    text = ""
    with client.stream("GET", "/page/events", headers=headers) as response:
        assert response.status_code == 200, response.read()
        for part in response.iter_text():
            text += part
            if len(found := list(read_events(text))) >= count:
                return found[:count]
    raise AssertionError(f"the stream ended after {text!r}")


def test_browser_gets_the_page_and_others_the_state() -> None:
    with opened(Site()) as client:
        page = client.get("/", headers=HTML)
        assert page.headers["content-type"].startswith("text/html")
        assert "<title>Labelstream</title>" in page.text
        assert 'data-token="no"' in page.text
        assert client.get("/").json() == {"status": "alive"}


def test_each_file_has_its_type_and_a_strict_policy() -> None:
    with opened(Site()) as client:
        for path in FILES.iterdir():
            found = client.get(f"/page/{path.name}")
            assert found.content == path.read_bytes()
            policy = found.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; ")
            assert not re.search(r"unsafe|https?:|\*|data:", policy)
            assert found.headers["x-content-type-options"] == "nosniff"
        for unknown in ("nope.js", "..%2Fpage.py", "../feed.py"):
            assert client.get(f"/page/{unknown}").status_code == 404


def test_files_name_no_other_host_and_set_no_html() -> None:
    for path in FILES.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text), (
            path
        )
        assert not re.search(r"<script(?! type=\"module\" src=\"page/)|<style| style=| on\w+=\"", text), path


def test_all_loaded_files_are_there() -> None:
    texts = {path.name: path.read_text() for path in FILES.iterdir()}
    loaded = re.findall(r'(?:src|href)="page/([^"]+)"', texts["index.html"])
    loaded += [name for text in texts.values() for name in re.findall(r'from "\./([^"]+)"', text)]
    assert set(loaded) | {"index.html"} == set(texts)


def test_events_hold_the_numbers_in_order() -> None:
    with opened(Site()) as client:
        names, data = zip(*events_of(client, 4), strict=True)
        assert names[:2] == ("about", "history")
        assert set(names[2:]) == {"status"}
        assert data[0] == ABOUT
        assert data[2]["recent"][0]["text"] == EVIL


def test_events_need_the_token_and_files_do_not() -> None:
    with opened(Site("secret")) as client:
        assert 'data-token="yes"' in client.get("/", headers=HTML).text
        assert client.get("/page/main.js").status_code == 200
        refused = client.get("/page/events")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert events_of(client, 1, authorization="Bearer secret")[0][0] == "about"


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://page.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
    ids=["origin", "cross-site", "same-site"],
)
def test_another_site_gets_no_events(headers: dict[str, str]) -> None:
    with opened(Site()) as client:
        assert client.get("/page/events", headers=headers).status_code == 403
        assert events_of(client, 1, **{"sec-fetch-site": "same-origin"})[0][0] == "about"


def test_head_of_the_events_ends_at_once() -> None:
    with opened(Site()) as client:
        answer = client.head("/page/events")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream"


def test_viewer_above_the_bound_is_503() -> None:
    with opened(Site(max_ongoing_requests=4)) as client, client.stream("GET", "/page/events") as first:
        assert first.status_code == 200
        refused = client.get("/page/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert refused.json() == {"error": "1 viewers have the page open; try again later"}
        assert client.get("/ping").status_code == 200


def test_gateway_without_page_has_none() -> None:
    with serving(build_app(EngineServed({}), HttpSettings(), None, Requests(4))) as url:
        for path in ("/page/main.js", "/page/events"):
            assert httpx2.get(url + path, trust_env=False).status_code == 404
        assert httpx2.get(url, headers=HTML, trust_env=False).json() == {"status": "alive"}


@pytest.mark.anyio
async def test_page_costs_one_question_for_many_viewers() -> None:
    site = Site()
    with opened(site) as client:
        streams = [client.stream("GET", "/page/events") for _ in range(8)]
        for stream in streams:
            stream.__enter__()
        before = site.source.asked
        assert isinstance(site.source, FakeSource)
        events_of(client, 4)
        assert site.source.asked - before <= 4
        for stream in streams:
            stream.__exit__(None, None, None)
