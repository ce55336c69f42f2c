"""Links to files of the repository outside of docs/ become paths: the site does not hold these files."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor

ROOT = Path(__file__).parents[2]
AFTER_INLINE_BEFORE_MKDOCS = 10  # markdown's inline patterns have 20, mkdocs' own check of links 0
logger = logging.getLogger("mkdocs.hooks.repository_links")  # mkdocs counts warnings below its own logger


class RepositoryLinks(Extension):
    """Markdown extension; `page` is the path of the page that is rendered, relative to docs/."""

    def __init__(self) -> None:
        super().__init__()
        self.page = ""

    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(_Processor(self), "repository_links", AFTER_INLINE_BEFORE_MKDOCS)


class _Processor(Treeprocessor):
    def __init__(self, extension: RepositoryLinks) -> None:
        super().__init__()
        self._extension = extension

    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            path = repository_path(self._extension.page, link.get("href", ""))
            if path is None:
                continue
            if not (ROOT / path).exists():
                logger.warning(
                    "Doc file '%s' contains a link to '%s', which does not exist", self._extension.page, path
                )
            _replace(link, path)


def repository_path(page: str, link: str) -> str | None:
    """The path in the repository that `link` on `page` leads to; None where it leads into docs/ or to a URL."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link) or link.startswith(("#", "/")):
        return None
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link.partition("#")[0]))
    return None if path == "docs" or path.startswith("docs/") else path


def _replace(link: Any, path: str) -> None:
    """Keep the link's text, and name the path behind it where the text does not."""
    text = "".join(link.itertext())
    link.tag, link.attrib = "span", {"title": f"{path} in the repository"}
    if text != path:
        children = list(link)
        if children:
            children[-1].tail = f"{children[-1].tail or ''} ("
        else:
            link.text = f"{link.text} ("
        code = SubElement(link, "code")
        code.text, code.tail = path, ")"
