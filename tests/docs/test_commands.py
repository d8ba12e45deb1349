"""Every block of commands, Python and TOML in README.md and docs/ is run as it stands.

The blocks of a document are run one after another in a folder of their own, which holds what the
documents take for granted (`here`, in conftest.py). SMALLER says what is added to a command so
that it takes seconds. A comment before a block says what is done with it:

    <!-- file: NAME -->       its text becomes this file, which later commands read
    <!-- needs THING -->      it is left out where THING is wanting; a remark may follow a colon
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from magkit.cli import run

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NEEDS = ("a network", "Windows", "several GPUs")
"""What no test has. Anything else that is needed is a distribution, such as magkit-vision."""

RENDERED = "--procedural 6 --threads 1"
TRAINED = "--steps 1 --size 64 --workers 0 --threads 1"
PRETRAINED = f"{TRAINED} --batch 8 --scenes 8 --train frame=96"
SMALLER = {
    "magkit magnify": "--threads 1",
    "magkit report": "--threads 1",
    "magkit gen-data": f"--count 8 --size 64 {RENDERED}",
    "magkit pretrain": PRETRAINED,
    "magkit pretrain --method warp": f"{TRAINED} --batch 4",
    "magkit adapt": "--steps 1 --train size=64 --train batch=4 --workers 0 --threads 1",
    "magkit pretrain --method moco": f"{PRETRAINED} --opt queue=8",
    "magkit finetune": f"{TRAINED} --batch 1 --procedural 6",
    "magkit finetune --data": f"{TRAINED} --batch 1",
    "magkit evaluate magnifier": f"--repeats 1 {RENDERED}",
    "magkit evaluate clip": "--threads 1",
    "magkit evaluate encoder": f"--frames 8 {RENDERED}",
    "magkit export": "--threads 1",
    "magkit embed": "--threads 1",
    "magkit invert": "--size 64 --iterations 2 --set keyframe_steps=1"
    " --set warm_steps=1 --threads 1",
    "magkit evaluate inversion": "--threads 1",
    "magkit evaluate student": "--steps 1 --rows 32 --batch 1 --seeds 1 --threads 1",
}
"""What is added to commands that begin so: later options outdo earlier ones. The longest counts."""

BEFORE = {
    "docs/evaluation.md": (
        "magkit pretrain --method byol",
        "magkit finetune --magnifier magnet",
    )
}
"""What readers have done before they come to a document."""

FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]*) -->\n+)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
OUTSIDE = re.compile(r"^ *(\$ |magkit |pip |python )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences.

    Attributes:
        place: document and line.
        language: as the fence names it; empty: text.
        mark: the comment before it.
        text: whole lines.
    """

    place: str
    language: str
    mark: str
    text: str

    def commands(self) -> list[list[str]]:
        """The commands of a block of sh, each as its words."""
        lines = self.text.replace("\\\n", " ").splitlines()
        found = [shlex.split(line, comments=True) for line in lines]
        # Nobody's own folder is written to: the home of these commands is where they are run.
        at_home = [[re.sub(r"^~/", "home/", word) for word in words] for words in found]
        return [words for words in at_home if words]


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text"))
        place = f"{document.relative_to(ROOT).as_posix()}:{line}"
        yield Block(place, found["language"], found["mark"] or "", found["text"])


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_block_is_one_that_is_understood(document: Path) -> None:
    fences = re.findall(r"^\s*```", document.read_text(encoding="utf-8"), re.MULTILINE)
    found = list(blocks(document))
    assert len(fences) == 2 * len(found)
    for block in found:
        assert block.language in ("sh", "python", "toml", "powershell", "text", ""), block.place
        assert block.language != "powershell" or block.mark.startswith("needs Windows"), block.place
        if block.language in ("text", "") and document.name != "commands.md":
            assert not OUTSIDE.search(block.text), f"{block.place} holds a command: make it sh"


def test_nothing_is_made_smaller_that_is_not_there() -> None:
    begun = {start for block in all_blocks("sh") for c in block.commands() for start in starts(c)}
    assert set(SMALLER) <= begun
    assert set(BEFORE) <= {name(document) for document in DOCUMENTS}


def all_blocks(language: str) -> Iterator[Block]:
    for document in DOCUMENTS:
        yield from (block for block in blocks(document) if block.language == language)


def starts(words: list[str]) -> list[str]:
    """What a command begins with, the shortest first."""
    return [" ".join(words[:end]) for end in range(1, len(words) + 1)]


def smaller(words: list[str]) -> list[str]:
    keys = [start for start in starts(words) if start in SMALLER]
    return [*words, *(shlex.split(SMALLER[keys[-1]]) if keys else ())]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_a_document_works(document: Path, here: Path, site: Any) -> None:
    """`here` is the folder, and `site` where `pip install` puts what it is asked for."""
    for command in BEFORE.get(name(document), ()):
        assert succeeds(smaller(command.split()), site)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(document):
        kind, _, thing = block.mark.partition(" ")
        if kind == "file:":
            written(here, thing, block.text)
        if kind == "needs" and wanting(thing.partition(":")[0]):
            continue
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "python" and kind != "file:":
            exec(compile(block.text, block.place, "exec"), names)
        elif block.language == "sh":
            for words in block.commands():
                assert succeeds(smaller(words), site) is True, f"{block.place}: {shlex.join(words)}"


def written(folder: Path, name: str, text: str) -> None:
    path = folder / name
    assert path.resolve().is_relative_to(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def wanting(thing: str) -> bool:
    if thing in NEEDS:
        return True
    assert re.fullmatch(r"magkit-\w+|onnxruntime", thing), (
        f"'{thing}' is nothing that a block can need"
    )
    return not list(metadata.distributions(name=thing))


def succeeds(words: list[str], site: Any) -> bool:
    """Run a command; magkit in this process, for importing torch takes longer than most."""
    match words:
        case ["pip", "install", source]:
            site.install_from(source)
            return True
        case ["magkit", *arguments]:
            return run(arguments) == 0
        case ["python", *arguments]:
            started = [sys.executable, *arguments]
            return subprocess.run(started, check=False, timeout=300).returncode == 0
    raise AssertionError(f"nobody runs {words[0]} here: mark the block, or change it")
