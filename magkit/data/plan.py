"""What a data set is: everything that determines its scenes, and how they are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal, get_args

from magkit.errors import MagkitError, UsageError
from magkit.options import from_mapping
from magkit.runtime.json_object import json_object
from magkit.synth.build import describe
from magkit.synth.render import Sources
from magkit.synth.scene import SceneConfig, draw_scene

Kind = Literal["triplets", "frames"]
Format = Literal["folder", "tar", "recipe", "published"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FORMATS: tuple[Format, ...] = get_args(Format)

VERSION = 2  # of what is written
FILE = "dataset.json"
MOST_BYTES = 4 << 20  # of that file
MOST_SCENES = 100_000_000
MOST_PIXELS = 8192  # a side
CHECKED = 8  # scenes whose draws are put on record


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A data set of `count` scenes, as triplets or as single frames (A of each scene).

    Attributes:
        sources: what the scenes are made of, as `synth.build.describe` says it.
        draws: what the first scenes were drawn as, see `drawn`.
    """

    kind: Kind = "triplets"
    format: Format = "folder"
    count: int
    seed: int = 0
    config: SceneConfig
    sources: Mapping[str, Any]
    draws: str = ""

    def text(self) -> str:
        """Return the plan as it stands in `dataset.json`."""
        scene = {"scene": asdict(self.config)}
        table = {name: getattr(self, name) for name in ("kind", "format", "count", "seed")}
        rest = {"sources": self.sources, "draws": self.draws}
        return json.dumps({"version": VERSION, **table, **scene, **rest}, indent=2) + "\n"

    @property
    def fingerprint(self) -> str:
        """Return a hash of the plan, that tells data sets apart."""
        return sha256(self.text().encode()).hexdigest()


def make_plan(
    kind: Kind,
    format: Format,  # noqa: A002 - what the field is called
    count: int,
    seed: int,
    config: SceneConfig,
    sources: Sources,
) -> Plan:
    """Make a plan, and put on record what the sources hold and what is drawn.

    Raises:
        UsageError: the published layout is asked to hold single frames.
    """
    if kind == "frames" and format == "published":
        raise UsageError("the published layout holds triplets", "--format folder holds frames")
    draws = drawn(config, len(sources.pictures), len(sources.cutouts), seed)
    return Plan(
        kind=kind,
        format=format,
        count=count,
        seed=seed,
        config=config,
        sources=describe(sources),
        draws=draws,
    )


def read_plan(text: bytes, where: str) -> Plan:
    """Read a plan from the bytes of `dataset.json`.

    Raises:
        MagkitError: it is no plan, or one of another version.
    """
    try:
        table = json_object(text, where)
        version = table["version"]
        values = {name: table[name] for name in ("kind", "format", "count", "seed", "sources")}
        config, draws = table["scene"], str(table["draws"])
    except (MagkitError, KeyError) as error:
        raise MagkitError(f"{where} does not describe a data set of magkit") from error
    if version != VERSION:
        raise MagkitError(f"{where} is of version {version!r}, and this magkit reads {VERSION}")
    if not _sensible(**values) or not isinstance(config, dict):
        raise MagkitError(f"{where} describes a data set that can't be")
    plan = Plan(**values, config=from_mapping(SceneConfig, config, where), draws=draws)
    if plan.config.size > MOST_PIXELS:
        raise MagkitError(f"{where} describes scenes of {plan.config.size} pixels: too large")
    return plan


def _sensible(kind: Any, format: Any, count: Any, seed: Any, sources: Any) -> bool:  # noqa: A002
    named = kind in KINDS and format in FORMATS and isinstance(sources, dict)
    whole = all(type(number) is int for number in (count, seed))
    return named and whole and 1 <= count <= MOST_SCENES and 0 <= seed < 2**64


def drawn(config: SceneConfig, pictures: int, cutouts: int, seed: int) -> str:
    """Return a hash of what the first scenes are drawn as, to six digits.

    Another version of magkit, or of NumPy, that draws other scenes is told by it.
    """
    scenes = [draw_scene(config, pictures, cutouts, seed, index) for index in range(CHECKED)]
    text = json.dumps([_rounded(asdict(scene)) for scene in scenes])
    return sha256(text.encode()).hexdigest()[:16]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
