"""`magkit evaluate encoder`: what an encoder is worth before any magnifier is trained on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.common import (
    Device,
    Images,
    ObjectImages,
    Objects,
    OutputPath,
    Overwrite,
    Procedural,
    Seed,
    Threads,
)
from magkit.cli.output import Output
from magkit.cli.tables import fitness_table
from magkit.errors import MagkitError, UsageError


def encoder(
    out: Output,
    path: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run of magkit pretrain, or its result.")
    ],
    *,
    magnifier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose encoder it must be.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="Judge on the frames of a data set.")
    ] = None,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    frames: Annotated[int, typer.Option(min=8, help="Frames to judge on.")] = 64,
    output: OutputPath = None,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Measure, without labels, what an encoder is worth for magnifying motion.

    Frames are displaced by 0.1 to 2 pixels: do features move along, do their differences grow with
    the displacement, can it be read out of them, is colour kept? Beside it stand the same encoder
    with random weights, and that of the weights that ship.
    """
    if output is not None and output.exists() and not overwrite:
        raise MagkitError(f"{output} exists", hint="--overwrite replaces it")
    if data is not None and (images or objects or object_images or procedural):
        raise UsageError("frames come from --data or from pictures, not from both")

    from magkit.data.open import open_dataset
    from magkit.evaluate.encoder import (
        OWN,
        evaluate_encoders,
        load_comparison,
        rendered_frames,
        stored_frames,
    )
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.synth.build import build_sources

    set_threads(threads)
    where = resolve_device(device)
    judged = load_comparison(path, magnifier, seed)
    if data is not None:
        seen, others = stored_frames(open_dataset(data), frames, judged.size), None
    else:
        sources = build_sources(images or (), objects, object_images, procedural)
        seen, others = rendered_frames(sources, frames, judged.size, seed)
        others = others.to(where)
    with out.progress("measuring", "encoders") as progress:
        found = evaluate_encoders(judged, seen.to(where), others, progress)
    out.show(fitness_table(found))
    for row in found["rows"]:
        for text in row["warnings"] if row["weights"] == OWN else ():
            out.warn(f"{row['branch']}: {text}")
    if output is not None:
        from magkit.runtime.files import atomic_path

        with atomic_path(output, overwrite=overwrite) as temporary:
            text = json.dumps({**found, "encoder": str(found["encoder"])}, indent=2)
            temporary.write_text(text + "\n", encoding="utf-8")
    out.finish(
        found,
        wrote=[output] if output else [],
        then=f"magkit finetune --magnifier {found['magnifier']} --encoder {path}",
    )
