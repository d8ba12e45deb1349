"""`magkit gen-data`: scenes with exactly known motion, written as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.options import Images, ObjectImages, Objects, Overwrite, Procedural, Seed
from magkit.cli.output import Output
from magkit.errors import UsageError

if TYPE_CHECKING:
    from magkit.data.plan import Plan
    from magkit.data.summary import Estimate
    from magkit.data.write import WriteResult
    from magkit.runtime.shard import Shard
    from magkit.synth.render import Sources
    from magkit.synth.scene import SceneConfig

Cores = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="Processor cores, a process each; all if unset."),
]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--scene",
        metavar="KEY=VALUE",
        help="A range of the scenes' parameters, such as factors=2,50 or objects=1,4.",
    ),
]
Kind = Annotated[
    Literal["triplets", "frames"] | None,
    typer.Option(help="Frames A, B, C and the magnified M (the default), or single frames."),
]
Format = Annotated[
    Literal["folder", "tar", "recipe", "published"],
    typer.Option(help="Files, tar files, a recipe without pixels, or the layout of Oh et al."),
]
PresetName = Annotated[
    Literal["paper", "seed-triplets", "seed-frames"] | None,
    typer.Option(
        help="100,000 triplets as in the paper, 50,000 triplets (200,000 frames), or 20,000 single"
        " frames; other options override it."
    ),
]
ShareText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only the I-th of N shards of the work, from 1; a last call without it joins them.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Write nothing; estimate the time and disk space.")
]


def gen_data(
    out: Output,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder to create; data/KIND if unset."
        ),
    ] = None,
    preset: PresetName = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Number of scenes; 1000 if unset.")
    ] = None,
    seed: Seed = 0,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    kind: Kind = None,
    format: Format = "folder",  # noqa: A002 - the option's name
    size: Annotated[
        int | None, typer.Option(help="Side of the frames in pixels; 384 if unset.")
    ] = None,
    scene: Setting = None,
    threads: Cores = None,
    shard: ShareText = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
) -> None:
    """Write scenes whose motion is known exactly, to train on or to look at.

    After an interruption, the same command resumes. The result is a function of the images and the
    seed, not of the number of processes or shards.
    """
    from magkit.data.plan import PRESETS, Preset, make_plan
    from magkit.runtime.shard import launched_shard, parse_shard, processor_count
    from magkit.synth.build import build_sources

    asked = PRESETS[preset] if preset else Preset()
    share = parse_shard(shard) if shard else launched_shard()
    config = _scene_config(size or asked.size, asked.scene, scene or ())
    sources = build_sources(images or (), objects, object_images, procedural)
    scenes = count or asked.count
    plan = make_plan(kind or asked.kind, format, scenes, seed, config, sources)
    place, processes = output or Path("data") / plan.kind, threads or processor_count()
    if dry_run:
        _estimate(out, place, plan, sources, processes, share)
        return
    _write(out, place, plan, sources, processes, share, overwrite=overwrite)


def _write(
    out: Output,
    place: Path,
    plan: Plan,
    sources: Sources,
    processes: int,
    share: Shard,
    *,
    overwrite: bool,
) -> None:
    from magkit.data.write import write_dataset

    label = "writing" if share.count == 1 else f"writing share {share}"
    with out.progress(label, "scenes") as progress:
        done = write_dataset(
            place,
            plan,
            sources,
            processes=processes,
            share=share,
            overwrite=overwrite,
            progress=progress,
        )
    _warn_of_broken(out, done)
    next_step = f"look at {place / 'contact.png'} and {place / 'histograms.png'}"
    if not done.whole:
        next_step = "after all shares, the same command without --shard joins them"
    out.finish(
        {
            "output": place,
            "format": plan.format,
            "kind": plan.kind,
            "scenes": plan.count,
            "share": str(share),
            "whole": done.whole,
            "resumed": done.resumed,
            "broken": done.unreadable,
        },
        wrote=[place] if done.whole else [],
        then=next_step,
    )


def _warn_of_broken(out: Output, done: WriteResult) -> None:
    if done.unreadable:
        out.warn(f"{len(done.unreadable)} broken pictures were replaced by others")
    for path in done.unreadable:
        out.detail(f"broken: {path}")


def _estimate(
    out: Output, place: Path, plan: Plan, sources: Sources, processes: int, share: Shard
) -> None:
    from magkit.data.summary import estimate

    found = estimate(place, plan, sources, processes, share)
    if found.size > found.free:
        out.warn(f"only {_bytes(found.free)} are free there")
    out.show(_sentence(found, processes, place))
    out.finish(
        {
            "output": place,
            "format": plan.format,
            "kind": plan.kind,
            "scenes": found.scenes,
            "share": str(share),
            "tried": found.tried,
            "processes": processes,
            "seconds": found.seconds,
            "bytes": found.size,
            "free": found.free,
        },
        then="the same command without --dry-run writes them",
    )


def _sentence(found: Estimate, processes: int, place: Path) -> str:
    time = timedelta(seconds=max(1, round(found.seconds)))
    with_what = f"with {processes} process{'es' if processes > 1 else ''}"
    what = f"{found.scenes:,} scenes in {place}: about {time} {with_what}, {_bytes(found.size)}"
    return f"{what} (judged from {found.tried} scenes that were made; nothing was written)"


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def _scene_config(size: int, preset: Mapping[str, Any], settings: Sequence[str]) -> SceneConfig:
    from magkit.options import from_mapping, key_values
    from magkit.synth.scene import SceneConfig

    given = key_values(settings)
    if "size" in given:
        raise UsageError("the size of scenes has an option of its own", "--size PIXELS")
    return from_mapping(SceneConfig, {"size": size, **preset, **given}, "scenes")
