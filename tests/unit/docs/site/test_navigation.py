"""Folders in the navigation become their pages."""

import logging

import pytest

from docs.site.navigation import expand_folders

PAGES = ["README.md", "how-to/b.md", "how-to/a.md", "how-to/runbooks/lag.md", "how-to/runbooks/README.md"]


def test_folder_becomes_its_pages_and_subfolders() -> None:
    assert expand_folders([{"How-to guides": ["how-to/"]}], PAGES) == [
        {
            "How-to guides": [
                "how-to/a.md",
                "how-to/b.md",
                {"Runbooks": ["how-to/runbooks/README.md", "how-to/runbooks/lag.md"]},
            ]
        }
    ]


def test_page_with_an_entry_of_its_own_stays_in_its_place() -> None:
    nav = [{"Home": "README.md"}, {"Runbooks": "how-to/runbooks/"}, {"How-to": ["how-to/b.md", "how-to/"]}]
    expanded = expand_folders(nav, PAGES)
    assert expanded[0] == {"Home": "README.md"}
    assert expanded[2]["How-to"][:2] == ["how-to/b.md", "how-to/a.md"]


def test_folder_of_a_section_by_itself_becomes_its_list() -> None:
    assert expand_folders([{"Do": "how-to/runbooks/"}], PAGES) == [
        {"Do": ["how-to/runbooks/README.md", "how-to/runbooks/lag.md"]}
    ]


def test_folder_without_pages_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert expand_folders([{"Decisions": "adr/"}, {"Home": "README.md"}], PAGES) == [{"Home": "README.md"}]
    assert [record.getMessage() for record in caplog.records] == ["The nav names the folder 'adr/', which has no page"]


def test_folder_whose_pages_are_named_elsewhere_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    nav = [{"Home": "README.md"}, {"Do": ["how-to/runbooks/README.md", "how-to/runbooks/lag.md", "how-to/runbooks/"]}]
    with caplog.at_level(logging.WARNING):
        assert expand_folders(nav, PAGES)[1] == {"Do": ["how-to/runbooks/README.md", "how-to/runbooks/lag.md"]}
    assert caplog.records == []
