"""Links lead somewhere, and what stands in code spans is what the commands have."""

import re
import runpy
from functools import cache
from pathlib import Path

import pytest

from magkit.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "recipes")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
OTHERS = {"--all-packages", "--user"}
"""Options of other programs that documents name by themselves."""


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(prose(document)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_every_document_is_listed() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= {
        link.partition("#")[0] for link in listed
    }


@cache
def options() -> dict[str, set[str]]:
    """The flags of each command, and of all of them under the empty name."""
    reference = runpy.run_path(str(ROOT / "tools" / "command_reference.py"))["read"](app)
    shared = {flag for option in reference.shared for flag in option.names}
    found = {c.path: shared | {f for o in c.options for f in o.names} for c in reference.commands}
    return {**found, "": set.union(*found.values())}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_and_options_in_a_sentence_are_there(document: Path) -> None:
    for span in SPAN.findall(prose(document)):
        words = span.split()
        if words[0] == "magkit":
            assert flags(words) <= options()[command(words)], span
        elif words[0].startswith("--"):
            assert flags(words) <= options()[""] | OTHERS, span


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_commands_in_blocks_are_there(document: Path) -> None:
    """Those too that no test runs."""
    for block in FENCED.findall(document.read_text(encoding="utf-8")):
        lines = block.replace("\\\n", " ").splitlines()
        for line in lines[1:-1] if lines[0] in ("```sh", "```powershell") else ():
            if found := re.search(r"(^|\s|[/\\])(magkit .*)", line.partition(" #")[0]):
                words = found[2].split()
                assert flags(words) <= options()[command(words)], line


def flags(words: list[str]) -> set[str]:
    return {re.split(r"[=,;]", word)[0] for word in words if re.match(r"--\w", word)}


def command(words: list[str]) -> str:
    """The command that words begin with; a name that is none fails."""
    path = "magkit"
    for word in words[1:]:
        if f"{path} {word}" in options():
            path = f"{path} {word}"
        elif path == "magkit" and re.fullmatch(r"[a-z][a-z-]+", word):
            raise AssertionError(f"{' '.join(words)}: there is no command {word}")
        else:
            break
    return path
