"""Expand the folders that `nav` in mkdocs.yml names into their pages."""

import logging
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any

Nav = list[Any]  # mkdocs' own form: pages, and {title: page or Nav}
logger = logging.getLogger("mkdocs.hooks.navigation")  # mkdocs counts warnings below its own logger


def expand_folders(nav: Nav, pages: Collection[str]) -> Nav:
    """Replace each entry `folder/` by the pages of the folder that `nav` does not name elsewhere.

    README.md comes first, then the other pages by file name, then each subfolder as a section. `pages`: paths relative
    to docs/.
    """
    for entry in _named(nav):
        if entry.endswith("/") and not any(page.startswith(entry) for page in pages):
            logger.warning("The nav names the folder '%s', which has no page", entry)
    return _expand(nav, set(pages) - set(_named(nav)))


def _expand(nav: Nav, pages: Collection[str]) -> Nav:
    expanded: Nav = []
    for entry in nav:
        if isinstance(entry, dict):
            [(title, inner)] = entry.items()
            children = _expand(inner if isinstance(inner, list) else [inner], pages)
            is_page = children == [inner]
            expanded += [{title: inner if is_page else children}] if children else []
        else:
            expanded += _pages_of(PurePosixPath(entry), pages) if entry.endswith("/") else [entry]
    return expanded


def _pages_of(folder: PurePosixPath, pages: Collection[str]) -> Nav:
    inside = [path for page in pages if (path := PurePosixPath(page)).is_relative_to(folder)]
    own = sorted((path for path in inside if path.parent == folder), key=lambda path: (path.name != "README.md", path))
    subfolders = sorted({folder / path.relative_to(folder).parts[0] for path in inside if path.parent != folder})
    return [
        *map(str, own),
        *({subfolder.name.capitalize(): _pages_of(subfolder, pages)} for subfolder in subfolders),
    ]


def _named(nav: Nav) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, dict):
            for inner in entry.values():
                yield from _named(inner if isinstance(inner, list) else [inner])
        else:
            yield entry
