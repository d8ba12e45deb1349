"""docs/methods.md defines everything that ships, with its source."""

import re
from pathlib import Path

import pytest

from magkit import builtin
from magkit.specs import Spec

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
SPECS: list[Spec] = [
    *builtin.magkit_magnifiers(),
    *builtin.magkit_methods(),
    *builtin.magkit_targets(),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_it_names_what_ships_and_links_its_papers(spec: Spec) -> None:
    assert f"`{spec.name}`" in PAGE
    for number in re.findall(r"arXiv (\d{4}\.\d{5})", spec.paper):
        assert f"<https://arxiv.org/abs/{number}>" in PAGE
    for address in re.findall(r"https?://\S+", spec.paper):
        assert f"<{address}>" in PAGE
