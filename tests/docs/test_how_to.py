"""Commands of how-to pages that say of themselves that they need nothing but a broker, a config and its topics."""

from pathlib import Path

import pytest

from tests.docs.blocks import SHELL, blocks
from tests.docs.session import Session, checkout
from tests.kafka import Broker
from tests.support.command import ROOT

PAGES = [
    page
    for page in sorted((ROOT / "docs" / "how-to").glob("*.md"))
    if any(block.language in SHELL and "needs" not in block.marks for block in blocks(page))
]
BEFORE = (
    ". .venv/bin/activate",
    "labelstream init --bootstrap localhost:9092",
    "labelstream topics create -c labelstream.yaml --yes",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_does_what_it_shows(page: Path, kafka: Broker, tmp_path: Path) -> None:
    session = Session(checkout(tmp_path / "labelstream"), int(kafka.bootstrap.rpartition(":")[2]))
    try:
        for command in BEFORE:
            session.type(command)
        for block in blocks(page):
            session.follow(block)
    finally:
        session.close()
