"""The broker of the how-to pages, and a venv that `make` on a page leaves alone."""

import subprocess

import pytest

from tests.integration.conftest import kafka
from tests.support.command import ROOT

__all__ = ["kafka"]


@pytest.fixture(scope="session", autouse=True)
def venv_is_up_to_date() -> None:
    """A page's `make` in a copied checkout would install from there, and the copy goes."""
    done = subprocess.run(["make", "-q", "venv"], cwd=ROOT, check=False)
    assert done.returncode == 0, "pyproject.toml or the pins are newer than .venv; run `make venv`"
