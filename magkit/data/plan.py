"""The plan of a data set, which determines its scenes; presets and fingerprints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from magkit.errors import MagkitError, UsageError
from magkit.options import from_mapping
from magkit.runtime.text import json_object
from magkit.synth.build import describe
from magkit.synth.records import SceneConfig, as_table
from magkit.synth.render import Sources
from magkit.synth.scene import draw_scene

Kind = Literal["triplets", "frames"]
Format = Literal["folder", "tar", "recipe", "published"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FORMATS: tuple[Format, ...] = get_args(Format)

VERSION = 2  # of the file format
FILE = "dataset.json"
MAX_BYTES = 4 << 20  # of that file
MAX_SCENES = 100_000_000
MAX_SIDE = 8192  # a side
DIGEST_SCENES = 8  # scenes whose random draws are hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A data set of `count` scenes, as triplets or as single frames (A of each scene).

    Attributes:
        sources: the sources of the scenes, as `synth.build.describe` returns them.
        draws: a hash of the first scenes, see `draw_digest`.
    """

    kind: Kind = "triplets"
    format: Format = "folder"
    count: int
    seed: int = 0
    config: SceneConfig
    sources: Mapping[str, Any]
    draws: str = ""

    def text(self) -> str:
        """Return the content of `dataset.json`."""
        scene = {"scene": as_table(self.config)}
        table = {name: getattr(self, name) for name in ("kind", "format", "count", "seed")}
        rest = {"sources": self.sources, "draws": self.draws}
        return json.dumps({"version": VERSION, **table, **scene, **rest}, indent=2) + "\n"

    @property
    def fingerprint(self) -> str:
        """Return a hash of the plan."""
        return sha256(self.text().encode()).hexdigest()


def make_plan(
    kind: Kind,
    format: Format,  # noqa: A002 - the field's name
    count: int,
    seed: int,
    config: SceneConfig,
    sources: Sources,
) -> Plan:
    """Make a plan, with a description of the sources and a hash of the draws.

    Raises:
        UsageError: the published layout can't hold single frames.
    """
    if kind == "frames" and format == "published":
        raise UsageError("the published layout holds triplets", "--format folder holds frames")
    draws = draw_digest(config, len(sources.pictures), len(sources.cutouts), seed)
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
    """Parse `dataset.json`.

    Raises:
        MagkitError: it is no plan, or has another version.
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
    if not _is_valid(**values) or not isinstance(config, dict):
        raise MagkitError(f"{where} describes a data set that can't be")
    plan = Plan(**values, config=from_mapping(SceneConfig, config, where), draws=draws)
    if plan.config.size > MAX_SIDE:
        raise MagkitError(f"{where} describes scenes of {plan.config.size} pixels: too large")
    return plan


def _is_valid(kind: Any, format: Any, count: Any, seed: Any, sources: Any) -> bool:  # noqa: A002
    named = kind in KINDS and format in FORMATS and isinstance(sources, dict)
    whole = all(type(number) is int for number in (count, seed))
    return named and whole and 1 <= count <= MAX_SCENES and 0 <= seed < 2**64


def draw_digest(config: SceneConfig, pictures: int, cutouts: int, seed: int) -> str:
    """Return a hash of the first scenes, rounded to six digits.

    It differs if this version of magkit or NumPy draws other scenes.
    """
    scenes = [draw_scene(config, pictures, cutouts, seed, index) for index in range(DIGEST_SCENES)]
    text = json.dumps([_round(as_table(scene)) for scene in scenes])
    return sha256(text.encode()).hexdigest()[:16]


def _round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _round(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


PAPER = {
    "factors": "2,100",
    "max_motion": "10",
    "magnified": "0.5,30",
    "objects": "7,15",
}
"""Oh et al. (ECCV 2018), section 4: factors to 100, input motion to 10 px, magnified to 30 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A preset of `gen-data`; `scene` are settings of `SceneConfig`."""

    kind: Kind = "triplets"
    count: int = 1000
    size: int = 384
    scene: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "paper": Preset(count=100_000, scene=PAPER),
    # 200,000 frames: A, B, C and M of each scene.
    "seed-triplets": Preset(count=50_000, scene=PAPER),
    "seed-frames": Preset(kind="frames", count=20_000, scene=PAPER),
}


SAMPLE_SIZE = 16  # scenes: at most 80 files, a few seconds from a bucket
UNSCALED = 1 << 20  # pixels: a limit on an object's side that shrinks none


def sample_indices(count: int) -> list[int]:
    """Return evenly spaced indices below `count`, of the items whose content is hashed."""
    return sorted({round(k * (count - 1) / (SAMPLE_SIZE - 1)) for k in range(SAMPLE_SIZE)})


def digest(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return a hash of named contents in their order."""
    digest = sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def sources_digest(sources: Sources) -> str:
    """Return a hash of a sample of the pictures and objects from files; "" if there are none.

    Raises:
        MagkitError: none of a location can be read.
    """
    parts = list(_sample_pixels(sources))
    return digest(parts) if parts else ""


def _sample_pixels(sources: Sources) -> Iterator[tuple[str, bytes]]:
    pictures, objects = sources.pictures, sources.cutouts
    numbers = _sample_files(pictures.describe())
    pictures.prepare(numbers)
    for number in numbers:
        yield f"picture {number}", pictures.picture(number).numpy().tobytes()
    numbers = _sample_files(objects.describe())
    objects.prepare(numbers)
    for number in numbers:
        levels = (objects.cutout(number, UNSCALED) * 255).round().byte()
        yield f"object {number}", levels.numpy().tobytes()


def _sample_files(parts: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return indices of sampled items, of all but procedural parts."""
    found, start = list[int](), 0
    for part in parts:
        if part["kind"] != "procedural":
            found += [start + number for number in sample_indices(part["count"])]
        start += part["count"]
    return found
