"""Recipes can be run as they stand, and their README lists every setting."""

import re
import tomllib
from pathlib import Path

import pytest

from magkit.finetune.recipe import PARTS, make_recipe
from magkit.options import option_rows, parse_options
from magkit.plugins import registry

FOLDER = Path(__file__).parents[1] / "recipes"
FLAGS = ("steps", "batch", "size", "lr", "seed")


def settings_table() -> list[str]:
    rows = [row for part in PARTS for row in option_rows(part)]
    return [f"| `{row.key}` | {row.default} | {row.help} |" for row in rows]


def test_the_readme_lists_every_setting() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `.*$", text, re.MULTILINE)
    assert found == settings_table(), "\n".join(settings_table())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_made_of_options_and_settings(path: Path) -> None:
    from magkit.cli.finetune import finetune

    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(table) <= set(finetune.__annotations__)
    spec = registry().magnifier(table["magnifier"])
    flags = {key: table[key] for key in FLAGS if key in table}
    make_recipe(spec.preset, table.get("train", {}), flags)
    parse_options(spec.config, [f"{k}={v}" for k, v in table.get("opt", {}).items()])
    assert path.stem in (FOLDER / "README.md").read_text(encoding="utf-8")
