"""What mkdocs calls while it builds docs/; mkdocs.yml names this file."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from docs.site.list_indents import with_four_spaces
from docs.site.navigation import expand_folders
from docs.site.repository_links import RepositoryLinks

_repository_links = RepositoryLinks()


def on_config(config: MkDocsConfig) -> None:
    # mkdocs accepts only a subfolder as docs_dir, and mkdocs.yml stands beside the pages.
    config.docs_dir = str(Path(config.config_file_path).parent)
    config.markdown_extensions.append(_repository_links)  # type: ignore[arg-type] - mkdocs passes instances on


def on_files(files: Files, config: MkDocsConfig) -> None:
    pages = [file.src_uri for file in files.documentation_pages()]
    config.nav = expand_folders(config.nav or [], pages)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    _repository_links.page = page.file.src_uri
    return with_four_spaces(markdown)
