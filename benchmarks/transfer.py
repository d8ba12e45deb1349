"""Train a magnifier on few or many scenes from several pretrained encoders.

    python benchmarks/transfer.py -o DIR [--images SRC] --starts scratch,frozen,moco,byol,scrl
    python benchmarks/transfer.py -o DIR --starts warp,photometric --unlabelled CLIPS
    python benchmarks/transfer.py -o DIR --encoder mine=RUN
    python benchmarks/transfer_report.py DIR --plot FILE.png

A cell is one training. It starts from `scratch`, with a `frozen` random encoder, from what a method
of `magkit pretrain` made, an encoder or a whole magnifier, or from an encoder given as
NAME=RUN|FILE. Methods are trained once, in DIR/pretrain-METHOD-HASH, on the unlabelled data if
given, else on the training pictures. A cell uses 1, 5, 10 or 100 % of a fixed set of scenes and
one of three seeds. Every cell has the same number of steps and is evaluated after all, a half, a
quarter, ... of them, on scenes whose pictures and objects no training saw: DIR/train.txt and
DIR/judged.txt list the pictures; procedural ones have other numbers.

Each finished cell is a file, DIR/START-SHARE-SEED.json; the same command runs the remaining ones.
Scenes are rendered once, half a second each, and cached in DIR.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from functools import partial
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from safetensors.torch import load_file

from magkit.data.dataset import StoredBatches
from magkit.data.plan import Kind
from magkit.errors import MagkitError, UsageError
from magkit.evaluate.cases import cases
from magkit.evaluate.magnifier import evaluate, predictor
from magkit.finetune.initialization import Initialization, parameter_groups
from magkit.finetune.recipe import Recipe, make_recipe
from magkit.magnify.encoder import encoder_file
from magkit.plugins import registry
from magkit.runtime.files import atomic_path
from magkit.runtime.loader import load_batches
from magkit.runtime.weights import to_storable, write_tensors
from magkit.selfsup.job import PretrainJob
from magkit.selfsup.pretrain import pretrain
from magkit.specs import MethodSpec
from magkit.synth.build import build_sources, describe
from magkit.synth.pictures import FilePictures
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.triplets import Triplets
from magkit.training.loop import TrainState, train_step

SCRATCH, FROZEN = "scratch", "frozen"
SCENES = 17  # seed of the fixed set
EVERY = 5  # every fifth picture is judged on
PROCEDURAL = 2048  # numbers of procedural pictures and objects below this are trained on
HELD_OUT = 512
MEASURES = ("ssim", "region_ssim")


@dataclass(frozen=True)
class Cell:
    """One training."""

    start: str
    share: float  # per cent of the scenes
    seed: int

    @property
    def name(self) -> str:
        """The stem of its file."""
        return f"{self.start}-{self.share:g}-{self.seed}"


class HeldOutPictures(ProceduralPictures):
    """Procedural pictures that no training sees."""

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` of them as uint8 RGB (3, h, w)."""
        return super().picture(PROCEDURAL + index)


class HeldOutCutouts(ProceduralCutouts):
    """Procedural shapes that no training sees, cut out of pictures that none sees."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._colours = HeldOutPictures(count)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` of them as float RGBA (4, h, w)."""
        alpha = super().cutout(PROCEDURAL + index, longest)[3:]
        height, width = alpha.shape[1:]
        colour = self._colours.picture(index)[:, :height, :width].float() / 255
        return torch.cat([colour, alpha])


class FixedScenes:
    """A set of scenes, the first ones of a larger set; each is rendered once, into a file."""

    kind: Kind = "triplets"
    has_motion = True

    def __init__(self, config: SceneConfig, sources: Sources, count: int, folder: Path) -> None:
        self.config, self.sources, self.count = config, sources, count
        self.shape = config.size, config.size
        self.fingerprint = ""
        made_of = json.dumps([asdict(config), describe(sources)], sort_keys=True)
        self.folder = folder / f"scenes-{sha256(made_of.encode()).hexdigest()[:8]}"

    def __len__(self) -> int:
        return self.count

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch."""
        scenes = [self._scene(index) for index in indices]
        names = [f.name for f in fields(Triplets)]
        return Triplets(**{n: torch.cat([getattr(scene, n) for scene in scenes]) for n in names})

    def _scene(self, index: int) -> Triplets:
        file = self.folder / f"{index:05d}.safetensors"
        if file.is_file():
            return Triplets(**load_file(file))
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        scene = draw_scene(self.config, *counts, SCENES, index)
        made = render([scene], self.config, self.sources)
        tensors = {f.name: to_storable(getattr(made, f.name)) for f in fields(Triplets)}
        write_tensors(file, tensors, {}, overwrite=True)
        return made

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes."""
        return self.triplets(indices).a


def split(images: Sequence[str], folder: Path) -> list[str]:
    """Write the lists of training and evaluation pictures; return their paths."""
    if not images:
        return []
    listings = [FilePictures(place).listing for place in images]
    found = [listing.place(n) for listing in listings for n in range(len(listing))]
    parts = {
        "train.txt": [file for n, file in enumerate(found) if n % EVERY],
        "judged.txt": found[::EVERY],
    }
    for name, files in parts.items():
        with atomic_path(folder / name, overwrite=True) as path:
            path.write_text("\n".join(files) + "\n", encoding="utf-8")
    return [str(folder / name) for name in parts]


def sources_of(given: argparse.Namespace) -> tuple[Sources, Sources]:
    """Return the sources of the training scenes and of the evaluation scenes."""
    places = split(given.images or (), given.output)
    train = build_sources(places[:1], given.objects or (), None, 0)
    judged = Sources(HeldOutPictures(HELD_OUT), HeldOutCutouts(HELD_OUT))
    if places:
        pictures = build_sources(places[1:], (), None, 0).pictures
        judged = Sources(pictures, judged.cutouts)
    if given.judged_objects:
        judged = Sources(judged.pictures, build_sources((), given.judged_objects, None, 0).cutouts)
    return train, judged


def encoders_of(pairs: Iterable[str]) -> dict[str, Path]:
    """Read NAME=RUN|FILE."""
    found = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name in (SCRATCH, FROZEN) or trains_magnifier(name):
            raise UsageError(f"'{pair}' is not of the form NAME=RUN|FILE")
        found[name] = encoder_file(Path(path))
    return found


def train_cell(
    cell: Cell,
    given: argparse.Namespace,
    start: Path | None,
    sources: tuple[Sources, Sources],
) -> tuple[list[dict[str, float]], list[float]]:
    """Train with evaluations in between.

    Returns:
        The measurements by step, and the SSIM of the moving region of each scene at the end.
    """
    spec = registry().magnifier(given.magnifier)
    assert spec.losses is not None
    recipe = recipe_of(given, cell)
    whole = trains_magnifier(cell.start)
    weights, encoder = (start, None) if whole else (None, start)
    origin = Initialization(spec, given.opt or (), weights, encoder)
    config = origin.config()
    model, _ = origin.network(config, recipe)
    model.to(given.device)
    groups = parameter_groups(model, spec, config, recipe.encoder)
    state, points = TrainState.start(model, recipe.train, groups), []
    last: list[float] = []
    at = {math.ceil(given.steps / 2**n) for n in range(given.points)}
    for batch in load_batches(batches_of(given, cell, recipe, sources[0]), 0, given.workers):
        scenes = batch.to(given.device)
        train_step(state, [partial(spec.losses, model, scenes)], recipe.train)
        if state.step in at:
            judged = cases(sources[1], given.repeats)
            predict = predictor(state.average)  # type: ignore[arg-type]
            scores = list(evaluate(predict, judged, sources[1], given.device, gain=False))
            means = {name: fmean(getattr(each, name) for each in scores) for name in MEASURES}
            points.append({"step": state.step, **means})
            last = [score.region_ssim for score in scores]
            print(f"{cell.name}: step {state.step}, {shown(points[-1])}", file=sys.stderr)
    return points, last


def recipe_of(given: argparse.Namespace, cell: Cell) -> Recipe:
    """Return the magnifier's preset with the benchmark's settings."""
    own = {"steps": given.steps, "batch": given.batch, "size": given.size, "seed": cell.seed}
    frozen = {"freeze": given.steps} if cell.start == FROZEN else {}
    warmup = {"warmup": given.steps // 20}
    return make_recipe(registry().magnifier(given.magnifier).preset, own, frozen, warmup)


def batches_of(
    given: argparse.Namespace, cell: Cell, recipe: Recipe, sources: Sources
) -> StoredBatches:
    """Return batches out of the cell's share of the fixed set."""
    count = max(1, round(given.scenes * cell.share / 100))
    data = FixedScenes(recipe.scenes, sources, count, given.output)
    train, size = recipe.train, recipe.scenes.size
    return StoredBatches(data, cell.seed, given.batch, train.steps, size, recipe.degradation)


def shown(point: Mapping[str, float]) -> str:
    """Print the measurements."""
    return ", ".join(f"{name} {point[name]:.3f}" for name in MEASURES)


def trains_magnifier(start: str) -> bool:
    """Return whether a start is a method of `magkit pretrain` that trains whole magnifiers."""
    spec = registry().names("method").get(start)
    return isinstance(spec, MethodSpec) and spec.trains == "magnifier"


def pretrained(method: str, given: argparse.Namespace) -> Path:
    """Return what a method makes of the unlabelled data; train it unless it is stored."""
    places = given.unlabelled or ([str(given.output / "train.txt")] if given.images else None)
    asked = json.dumps([given.pretrain_steps, places, given.images, given.opt])
    run: Path = given.output / f"pretrain-{method}-{sha256(asked.encode()).hexdigest()[:8]}"
    if not (run / "model.safetensors").is_file():
        job = PretrainJob(
            method=method,
            magnifier=given.magnifier,
            magnifier_options=given.opt or (),
            data=places,
            settings={"steps": given.pretrain_steps},
        )
        pretrain(job, output=run, device=given.device, workers=given.workers)
    return run / "model.safetensors"


def settings_of(given: argparse.Namespace, sources: tuple[Sources, Sources]) -> dict[str, Any]:
    """Return the settings that all cells of one report share."""
    names = ("magnifier", "opt", "scenes", "steps", "batch", "size", "points", "repeats")
    recipe = recipe_of(given, Cell(SCRATCH, 100.0, 0)).result_settings()
    made_of = [describe(part) for part in sources]
    return {**{n: getattr(given, n) for n in names}, "recipe": recipe, "sources": made_of}


def run_cells(given: argparse.Namespace) -> None:
    """Train the requested cells that are not finished."""
    origins, sources = encoders_of(given.encoder or ()), sources_of(given)
    settings = settings_of(given, sources)
    starts = given.starts.split(",") if given.starts else [SCRATCH, FROZEN, *origins]
    for start in starts:
        if start not in (SCRATCH, FROZEN, *origins):
            origins[start] = pretrained(start, given)
    shares = [float(share) for share in given.shares.split(",")]
    # Seeds last: a report has every start and share as early as can be.
    cells = [
        Cell(start, share, s) for s, share, start in product(range(given.seeds), shares, starts)
    ]
    for cell in cells:
        if fnmatch(cell.name, given.cells):
            run_cell(cell, given, origins.get(cell.start), sources, settings)


def run_cell(
    cell: Cell,
    given: argparse.Namespace,
    origin: Path | None,
    sources: tuple[Sources, Sources],
    settings: Mapping[str, Any],
) -> None:
    """Train a cell unless its file is there; a file of other settings is refused."""
    mark = None if origin is None else sha256(origin.read_bytes()).hexdigest()
    asked = json.loads(json.dumps({"settings": settings, "origin": mark}))
    file = given.output / f"{cell.name}.json"
    if file.is_file():
        there = json.loads(file.read_text(encoding="utf-8"))
        if {key: there[key] for key in asked} != asked:
            raise MagkitError(f"{file} was made with other settings", "choose another -o")
        return
    began = time.monotonic()
    points, scenes = train_cell(cell, given, origin, sources)
    record = {"cell": asdict(cell), **asked, "points": points, "scenes": scenes}
    record["seconds"] = time.monotonic() - began
    with atomic_path(file) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What pretraining is worth.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the cells")
    parser.add_argument("--magnifier", default="magnet-fast")
    parser.add_argument("--opt", action="append", metavar="KEY=VALUE", help="the magnifier's own")
    parser.add_argument("--encoder", action="append", metavar="NAME=RUN|FILE")
    parser.add_argument("--images", action="append", help="backgrounds; procedural if not given")
    parser.add_argument("--objects", action="append", help="to train on; procedural otherwise")
    parser.add_argument("--judged-objects", action="append", help="to judge on; likewise")
    parser.add_argument("--starts", help="some of scratch, frozen, methods and --encoder's names")
    parser.add_argument("--unlabelled", action="append", help="frames or clips to pretrain on")
    parser.add_argument("--pretrain-steps", type=int, default=2000)
    parser.add_argument("--shares", default="1,5,10,100", help="per cent of the scenes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=2000, help="in the whole set")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--points", type=int, default=4, help="judged at the end, the half, ...")
    parser.add_argument("--repeats", type=int, default=2, help="times 17 scenes to judge on")
    parser.add_argument("--cells", default="*", help="a pattern of the cells to do: byol-10-*")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the remaining cells."""
    given = parsed(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("magkit").setLevel(logging.INFO)
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        run_cells(given)
    except MagkitError as error:
        sys.exit(f"{error.message}\n{error.hint}" if error.hint else error.message)
    print(f"python benchmarks/transfer_report.py {given.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
