"""README.md's two commands are the ones that are tested, and its plugin is as short as it says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", README, flags=re.MULTILINE | re.DOTALL)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    marked = re.search(r"<!-- [^\n]*the test command[^\n]* -->\n\n```sh\n(.+)\n```", README)
    assert marked is not None
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f"    {marked[1]}" in lines


def test_two_commands_are_all_it_takes() -> None:
    install, test = blocks("sh")[:2]
    assert install.endswith(".venv/bin/pip install -e . && .venv/bin/magkit demo")
    plugins = "".join(f" -e plugins/{name}" for name in PLUGINS)
    assert test.endswith(f".venv/bin/pip install -e '.[dev]'{plugins} && .venv/bin/pytest")


def test_windows_has_the_same_two() -> None:
    both = [line.partition(" && ")[2] for block in blocks("sh")[:2] for line in block.splitlines()]
    on_windows = [line.partition(" && ")[2] for line in blocks("powershell")[0].splitlines()]
    assert [line.replace("\\Scripts\\", "/bin/") for line in on_windows] == both


def test_the_plugin_has_20_lines() -> None:
    (plugin,) = [block for block in blocks("python") if "hookimpl" in block]
    lines = [line for line in plugin.splitlines() if line.strip()]
    assert len(lines) <= 20
