"""`python -m tests.docs.pictures.page OUT.png`: the page of a real run, as a picture."""

import argparse
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.page.application import running
from tests.page.browser import browser

STREAM_S, WIDTH, COLORS, TEXT = 100.0, 1_100, 128, "The garlic bread alone is worth the drive."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder) as application, browser(folder / "profile") as tab, application.stream():
            tab.look(width=WIDTH)
            tab.open(application.url)
            time.sleep(STREAM_S)
            tab.run("document.querySelector('#try-text').value = arguments[0]", TEXT)
            tab.run("document.querySelector('#try button').click()")
            time.sleep(2)
            tab.screenshot(folder / "page.png")
            Image.open(folder / "page.png").quantize(COLORS).save(out, optimize=True)


if __name__ == "__main__":
    main()
