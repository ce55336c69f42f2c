"""Links that leave docs/ become paths in the repository, and those to nothing are told."""

import logging

import pytest
from markdown import markdown

from docs.site.repository_links import RepositoryLinks, repository_path


def rendered(text: str, page: str = "how-to/tune.md") -> str:
    extension = RepositoryLinks()
    extension.page = page
    return markdown(text, extensions=[extension])


@pytest.mark.parametrize(
    ("page", "link", "path"),
    [
        ("README.md", "../CHANGELOG.md", "CHANGELOG.md"),
        ("how-to/tune.md", "../../helm/labelstream/README.md#secrets", "helm/labelstream/README.md"),
        ("how-to/tune.md", "../README.md", None),
        ("how-to/tune.md", "operate.md#lag", None),
        ("how-to/tune.md", "#lag", None),
        ("how-to/tune.md", "https://kafka.apache.org/", None),
        ("how-to/tune.md", "mailto:a@b.example", None),
    ],
)
def test_link_outside_docs_has_a_repository_path(page: str, link: str, path: str | None) -> None:
    assert repository_path(page, link) == path


def test_path_stands_behind_the_text() -> None:
    title = 'title="CHANGELOG.md in the repository"'
    assert rendered("The [changelog](../../CHANGELOG.md).") == (
        f"<p>The <span {title}>changelog (<code>CHANGELOG.md</code>)</span>.</p>"
    )
    assert "<em>long</em> log (<code>CHANGELOG.md</code>)" in rendered("[*long* log](../../CHANGELOG.md)")


def test_text_that_is_the_path_is_not_repeated() -> None:
    assert rendered("[`pyproject.toml`](../../pyproject.toml)").count("<code>") == 1


def test_link_within_docs_stays() -> None:
    assert 'href="operate.md"' in rendered("[Operate](operate.md)")


def test_link_to_a_missing_file_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rendered("[gone](../../gone.md)")
    assert [record.getMessage() for record in caplog.records] == [
        "Doc file 'how-to/tune.md' contains a link to 'gone.md', which does not exist"
    ]
