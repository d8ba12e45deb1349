"""`magkit gen-data`: scenes with exactly known motion, written to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from magkit.cli.common import Images, ObjectImages, Objects, Overwrite, Procedural, Seed
from magkit.cli.output import Output
from magkit.errors import UsageError

if TYPE_CHECKING:
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
        help="Another range of the scenes, such as factors=2,50 or objects=1,4.",
    ),
]


def gen_data(
    out: Output,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to be made.")
    ] = Path("data/triplets"),
    count: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 1000,
    seed: Seed = 0,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    kind: Annotated[
        Literal["triplets", "frames"],
        typer.Option(help="Frames A, B, C and the magnified M, or single frames."),
    ] = "triplets",
    size: Annotated[int, typer.Option(help="Side of the frames in pixels.")] = 384,
    scene: Setting = None,
    threads: Cores = None,
    overwrite: Overwrite = False,
) -> None:
    """Write scenes whose motion is known exactly, to train on or to look at.

    Stopped at any time, the same command goes on where it was. The result is a function of the
    pictures and the seed, not of the number of processes.
    """
    from magkit.synth.build import build_sources
    from magkit.synth.export import Plan, export, processor_count

    config = _config(size, scene or [])
    sources = build_sources(images or (), objects, object_images, procedural)
    described = {
        "images": [str(path) for path in images or ()],
        "objects": str(objects) if objects else None,
        "object_images": str(object_images) if object_images else None,
        "procedural": procedural,
    }
    plan = Plan(kind=kind, count=count, seed=seed, config=config, sources=described)
    with out.progress("writing", "scenes") as progress:
        done = export(
            output,
            plan,
            sources,
            processes=threads or processor_count(),
            overwrite=overwrite,
            progress=progress,
        )
    if done.unreadable:
        out.warn(f"{len(done.unreadable)} broken pictures were replaced by others")
    for path in done.unreadable:
        out.detail(f"broken: {path}")
    out.finish(
        {"output": output, "scenes": count, "resumed": done.resumed, "broken": done.unreadable},
        wrote=[output],
        then=f"look at {output / 'contact.png'}",
    )


def _config(size: int, settings: list[str]) -> SceneConfig:
    from magkit.options import parse_options
    from magkit.synth.scene import SceneConfig

    if any(pair.partition("=")[0].strip() == "size" for pair in settings):
        raise UsageError("the size of scenes has an option of its own", "--size PIXELS")
    return parse_options(SceneConfig, [f"size={size}", *settings], "scenes")
