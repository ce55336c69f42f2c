"""mkdocs with the hooks of docs/ builds a site, and refuses a page without an entry in the navigation."""

import shutil
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

DOCS = Path(__file__).parents[4] / "docs"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A docs/ with the real configuration and one page."""
    docs = tmp_path / "docs"
    (docs / "reference").mkdir(parents=True)
    shutil.copy(DOCS / "mkdocs.yml", docs)
    shutil.copytree(DOCS / "site", docs / "site")
    (docs / "README.md").write_text("# Home\n\nSee the [changelog](../CHANGELOG.md).\n")
    return docs


def built(docs: Path) -> str:
    nav = [{"Home": "README.md"}, {"Reference": "reference/"}]
    build(load_config(str(docs / "mkdocs.yml"), strict=True, nav=nav))
    return (docs.parent / "build/docs/index.html").read_text(encoding="utf-8")


def test_page_of_a_named_folder_is_in_the_navigation(site: Path) -> None:
    (site / "reference/cli.md").write_text("# Commands\n")
    page = built(site)
    assert 'href="reference/cli.html"' in page
    assert "(<code>CHANGELOG.md</code>)" in page


def test_page_outside_of_the_navigation_fails(site: Path) -> None:
    (site / "reference/cli.md").write_text("# Commands\n")
    (site / "lost.md").write_text("# Lost\n")
    with pytest.raises(Abort, match="1 warnings in strict mode"):
        built(site)
