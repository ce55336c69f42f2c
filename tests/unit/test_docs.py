"""README and the pages of docs/: links lead somewhere, configs are accepted, the reference is complete."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from labelstream.deploy.cli.main import app
from labelstream.workers.config_file import load_settings

ROOT = Path(__file__).parents[2]
README, INDEX = ROOT / "README.md", ROOT / "docs/README.md"
OURS = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [*OURS, ROOT / "helm/labelstream/README.md"]
FOR_CONTRIBUTORS = [ROOT / "SECURITY.md", *sorted((ROOT / "docs/contributing").glob("*.md"))]
DECISIONS = ROOT / "docs/adr/README.md"
HOLD_COMMANDS = {".py", ".yaml", ".tpl", ".gotmpl", ".md", ".txt"}
# In backticks, or in a block of commands: the command and, of a group, which of it, or several with | between them.
NAMED_COMMAND = r"(?:`|^|\$ |-- |exec )labelstream\s+([a-z]+)(?:[ \n]+([a-z]+(?:\|[a-z]+)*)(?=[\s`]))?"
BRITISH = (  # the ends of words; "cancelled" is asyncio's spelling
    r"neighbour|licence|colour|behaviour|favour|honour|catalogue|artefact|judgement|modell|travell"
    r"|labell(?!ed Sentences|ed\+sentences)"
    r"|(?:normal|serial|token|initial|optim|recogn|organ|summar|util|minim|maxim|synchron)is(?:e|ing|ation)"
)
PIPELINE = {"input": "in", "output": "out", "dead_letter": "dead"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def prose(page: Path) -> str:
    """The page without its blocks of code, in which neither links nor headings count."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """The targets of all links and pictures that stand outside of code."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the page's headings: in lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def broken(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return True
    return bool(anchor) and (target.suffix != ".md" or anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_and_anchors_lead_somewhere(page: Path) -> None:
    relative = [link for link in links(page) if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if broken(page, link)] == []


def test_readme_fits_a_page_and_shows_a_message_s_way() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
    assert "docs/overview.svg" in links(README)


def test_every_page_is_linked_from_the_index_and_the_index_from_readme() -> None:
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in links(INDEX)}
    assert {link.partition("#")[0] for link in links(README)} >= {"docs/README.md"}
    runbooks = {page for page in OURS if page.parent.name == "runbooks"}  # monitor.md lists them
    decisions = {page for page in OURS if page.parent.name == "adr"}
    assert set(OURS) - {README, INDEX, *FOR_CONTRIBUTORS} - decisions - linked - runbooks == set()


def linked_from(page: Path) -> set[Path]:
    return {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}


def test_every_page_for_contributors_is_linked_from_contributing() -> None:
    assert {*FOR_CONTRIBUTORS, DECISIONS} - linked_from(ROOT / "CONTRIBUTING.md") == set()


def test_every_decision_is_in_the_index_in_order() -> None:
    pages = sorted(page.name for page in DECISIONS.parent.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    assert [link for link in links(DECISIONS) if re.match(r"\d", link)] == pages


def test_every_page_that_code_names_exists() -> None:
    files = (path for part in ("workers", "deploy", "helm", "schemas", "tests") for path in (ROOT / part).rglob("*"))
    sources = [path.read_text(encoding="utf-8") for path in files if path.suffix in {".py", ".yaml", ".tpl", ".gotmpl"}]
    named = {page for source in sources for page in re.findall(r"docs/[\w/-]+\.md", source)}
    assert "docs/how-to/secure.md" in named
    assert [page for page in named if not (ROOT / page).is_file()] == []


def test_every_command_that_code_or_a_page_names_exists() -> None:
    files = (path for part in ("workers", "deploy", "helm", "schemas", "docs") for path in (ROOT / part).rglob("*"))
    sources = [*OURS, ROOT / "CHANGELOG.md", *(path for path in files if path.suffix in HOLD_COMMANDS)]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    wrong, groups = [], set()
    for path in sources:
        for name, more in re.findall(NAMED_COMMAND, path.read_text(encoding="utf-8"), re.MULTILINE):
            parts = getattr(commands.get(name), "commands", None)
            if parts is not None and more:
                groups.add(name)
            if name not in commands or (parts is not None and set(more.split("|")) - parts.keys() - {""}):
                wrong.append(f"{path.relative_to(ROOT)}: labelstream {name} {more}")
    assert wrong == []
    assert groups >= {"topics", "dlq", "bench", "cache"}


def test_words_have_american_spelling() -> None:
    """Except in the texts that the demo's model learns from, and in the name of a data set."""
    sources = (path for part in ("workers", "deploy", "schemas", "helm") for path in (ROOT / part).rglob("*"))
    files = [*PAGES, ROOT / "CHANGELOG.md", *(path for path in sources if path.suffix in HOLD_COMMANDS)]
    files = [path for path in files if "demo/text" not in name(path) and path.name != "public_texts.py"]
    found = [(name(path), word) for path in files for word in re.findall(BRITISH, path.read_text("utf-8"), re.I)]
    assert found == []


def test_every_module_that_a_page_names_exists() -> None:
    modules = [
        "/" + str(path.relative_to(ROOT))
        for part in ("workers", "deploy", "schemas", "tests")
        for path in (ROOT / part).rglob("*.py")
    ]
    for page in OURS:
        named = re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8"))
        assert [name for name in named if not any(module.endswith("/" + name) for module in modules)] == []


@pytest.mark.parametrize("page", OURS, ids=name)
def test_module_has_the_definitions_that_a_page_names(page: Path) -> None:
    """Of "`Class.method` in `path`"."""
    named = re.findall(r"`([\w.]+)(?:\(\))?`\s+in\s+`((?:workers|deploy|schemas)/[\w/]+\.py)`", prose(page))
    for definition, module in named:
        code = (ROOT / module).read_text(encoding="utf-8")
        for part in definition.split("."):
            assert re.search(rf"\b{part}\b", code), f"{definition} in {module}"


def test_layout_in_readme_says_what_the_folders_say() -> None:
    """A row that begins with dots is a folder in the one above: its sentence is the first of the folder's docstring."""
    table = README.read_text(encoding="utf-8").split("## Project layout")[1]
    parent, seen = "", 0
    for folder, sentence in re.findall(r"^\| `([\w/. ]+)/` \| (.*) \|$", table, re.MULTILINE):
        if not folder.startswith(".. "):
            parent = folder
            continue
        source = (ROOT / parent / folder.removeprefix(".. ") / "__init__.py").read_text(encoding="utf-8")
        assert (ast.get_docstring(ast.parse(source)) or "").startswith(sentence), folder
        seen += 1
    assert seen > 10


def test_every_config_is_accepted() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in OURS)
    blocks = re.findall(r"^```yaml\n(.*?)^```", pages, re.DOTALL | re.MULTILINE)
    configs: list[dict[str, Any]] = [config for block in blocks if "models" in (config := yaml.safe_load(block))]
    assert len(configs) > 3
    for config in configs:
        pipelines = {"p": {**PIPELINE, "model": next(iter(config["models"]))}}
        load_settings({"kafka": {"bootstrap_servers": "h:1"}, "pipelines": pipelines, **config})
