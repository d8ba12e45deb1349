"""Small data sets of all formats, and what they hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from magkit.data.plan import Format, Kind, Plan, make_plan
from magkit.data.write import write_dataset
from magkit.synth.build import build_sources
from magkit.synth.render import Sources
from magkit.synth.scene import SceneConfig

CONFIG = SceneConfig(size=32, objects=(1, 2))
COUNT = 5
Made = Callable[..., Path]


@pytest.fixture(scope="session")
def sources() -> Sources:
    """A few procedural pictures and objects."""
    return build_sources((), None, None, 6)


@pytest.fixture(scope="session")
def plan(sources: Sources) -> Plan:
    """Five small triplets in a folder."""
    return make_plan("triplets", "folder", COUNT, 3, CONFIG, sources)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, plan: Plan, sources: Sources) -> Made:
    """Writes the scenes of the plan in a format, once; nobody changes them."""
    places: dict[tuple[Format, Kind], Path] = {}

    def make(layout: Format, kind: Kind = "triplets") -> Path:
        if (layout, kind) not in places:
            place = tmp_path_factory.mktemp("made") / "set"
            write_dataset(place, replace(plan, format=layout, kind=kind), sources)
            places[layout, kind] = place
        return places[layout, kind]

    return make
