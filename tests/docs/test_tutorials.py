"""The tutorials and the example with data, typed from their pages on a real broker and a real Ray."""

from pathlib import Path

import pytest

from tests.docs.blocks import SHELL, Block, blocks
from tests.docs.hub import ZeroShot, serving_model
from tests.docs.session import Session, checkout
from tests.kafka.broker import free_port
from tests.support.command import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
EXAMPLES = ROOT / "deploy" / "examples" / "README.md"
PAGES = [*TUTORIALS, EXAMPLES]
NLI = "typeform/distilbert-base-uncased-mnli"
# The hub's model that a page names, and what the model that stands in for it knows; each page says so.
HUB = {
    "get-started": ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", None),
    "first-zero-shot": (
        NLI,
        ZeroShot(
            "This customer writes about {}.",
            ("refund", "delivery", "praise"),
            {
                "I want my money back": "refund",
                "Where is my parcel?": "delivery",
                "What a wonderful shop, thank you!": "praise",
            },
        ),
    ),
    "logs": (
        NLI,
        ZeroShot(
            "This is a problem of {}.",
            ("disk", "network", "security"),
            {
                "no space left on /var": "disk",
                "connection refused by db-3": "network",
                "login failed for admin": "security",
            },
        ),
    ),
}


@pytest.mark.ray
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    name, knows = HUB.get(page.stem, ("nobody/nothing", None))
    port = free_port()
    with serving_model(name, tmp_path / "hub", knows) as environment:
        if page == EXAMPLES:  # the broker of a config that lies in the repository
            environment["LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS"] = f"localhost:{port}"
        session = Session(checkout(tmp_path / "labelstream"), port, environment)
        try:
            for block in blocks(page):
                session.follow(block)
        finally:
            session.close()


def test_readme_shows_no_command_that_no_tutorial_runs() -> None:
    run = {bare(command) for page in PAGES for block in shell_blocks(page) for command in commands(block)}
    shown = {bare(command) for block in shell_blocks(ROOT / "README.md") for command in commands(block)}
    assert shown
    assert sorted(shown - run) == []


def shell_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in SHELL and "needs" not in block.marks]


def commands(block: Block) -> list[str]:
    return [command.text for command in block.commands]


def bare(command: str) -> str:
    """Without the remark behind it."""
    return command.partition("  #")[0].strip()
