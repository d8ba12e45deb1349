"""The README's two commands are the ones that are tested."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)\n```$", text, flags=re.MULTILINE | re.DOTALL)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    marked = re.search(r"<!-- the test command: .*? -->\n\n```sh\n(.+)\n```", text)
    assert marked is not None
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f"    {marked[1]}" in lines


def test_two_commands_are_all_it_takes() -> None:
    install, test = blocks()[:2]
    assert install.endswith(".venv/bin/pip install -e . && .venv/bin/magkit demo")
    assert test.endswith(".venv/bin/pip install -e '.[dev]' && .venv/bin/pytest")
