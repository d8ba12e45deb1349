"""The plan of a data set: everything that determines its scenes, presets by name, digests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal, get_args

from magkit.errors import MagkitError, UsageError
from magkit.options import from_mapping
from magkit.runtime.text import json_object
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


PAPER = {
    "factors": "2,100",
    "max_motion": "10",
    "magnified": "0.5,30",
    "objects": "7,15",
}
"""Oh et al. (ECCV 2018), section 4: factors to 100, input motion to 10 px, magnified to 30 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What `gen-data` is asked for by one word; `scene` are settings of `SceneConfig`."""

    kind: Kind = "triplets"
    count: int = 1000
    size: int = 384
    scene: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    # Five kinds of scene in equal parts, which is how `SceneConfig` draws them.
    "paper": Preset(count=100_000, scene=PAPER),
    # 200,000 frames: A, B, C and M of each scene.
    "seed-triplets": Preset(count=50_000, scene=PAPER),
    "seed-frames": Preset(kind="frames", count=20_000, scene=PAPER),
}


SAMPLED = 16  # scenes: at most 80 files, a few seconds from a bucket
AS_IT_IS = 1 << 20  # pixels: no object is so large that it would be shrunk to this


def sampled(count: int) -> list[int]:
    """Return the numbers of the scenes or files whose content is looked at, of `count`."""
    return sorted({round(k * (count - 1) / (SAMPLED - 1)) for k in range(SAMPLED)})


def mark(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return a hash of named contents, in their order."""
    digest = sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def sources_mark(sources: Sources) -> str:
    """Return a hash of a sample of the pictures and objects that come out of files; "" of none.

    Raises:
        MagkitError: none of a place can be read.
    """
    parts = list(_sampled_pixels(sources))
    return mark(parts) if parts else ""


def _sampled_pixels(sources: Sources) -> Iterator[tuple[str, bytes]]:
    pictures, objects = sources.pictures, sources.cutouts
    numbers = _in_files(pictures.describe())
    pictures.prepare(numbers)
    for number in numbers:
        yield f"picture {number}", pictures.picture(number).numpy().tobytes()
    numbers = _in_files(objects.describe())
    objects.prepare(numbers)
    for number in numbers:
        levels = (objects.cutout(number, AS_IT_IS) * 255).round().byte()
        yield f"object {number}", levels.numpy().tobytes()


def _in_files(parts: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return numbers of items to look at, of the parts that are no procedural ones."""
    found, start = list[int](), 0
    for part in parts:
        if part["kind"] != "procedural":
            found += [start + number for number in sampled(part["count"])]
        start += part["count"]
    return found
