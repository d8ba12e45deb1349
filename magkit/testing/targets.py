"""What is asked of a target: `magkit.protocols.Target`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.invert.classes import ANY
from magkit.protocols import Annotation, Target
from magkit.specs import TargetSpec
from magkit.testing import target_losses, target_sight
from magkit.testing.asked import Build, Size, asked, objects, pictures, two_classes
from magkit.testing.check import Check, require
from magkit.testing.modules import networks
from magkit.testing.outcomes import finite_terms, refuses
from magkit.testing.records import configured, record_checks

CPU = torch.device("cpu")
NO_CLASS = "no such class"


def target_checks(
    spec: TargetSpec[Any],
    *,
    options: Sequence[str] = (),
    weights: Path | None = None,
    size: tuple[int, int] = (64, 64),
) -> list[Check]:
    """Return what is asked of a target. It is built once, on the CPU, and shown two pictures.

    Args:
        spec: What it is.
        options: KEY=VALUE texts as after `--opt`.
        weights: The file that it is built from; None: what ships with it, or what it knows.
        size: Height and width of the pictures, multiples of its stride. Large enough for it to see
            something in: what is asked for is a quarter to a half of a side.
    """
    build = cache(partial(_built, spec, options, weights))
    return [
        *record_checks(spec, options),
        Check("builds", partial(_builds, build, size)),
        Check("refuses-broken-weights", partial(_broken, spec, options)),
        Check("classes-are-named", partial(_classes, build)),
        Check("labels-know-classes", partial(_labels, build, size)),
        Check("gradients-reach-the-pictures", partial(target_losses.gradients_reach, build, size)),
        Check("labels-move-with-the-picture", partial(target_losses.labels_move, build, size)),
        Check("statistics-are-found", partial(target_sight.statistics_are_found, build, size)),
        Check("predicts-known-classes-surest-first", partial(target_sight.predicts, build, size)),
        Check("model-stays-as-it-is", partial(target_losses.model_stays, build, size)),
        Check("says-the-same-each-time", partial(target_sight.repeats, build, size)),
        Check("sees-a-picture-alone-as-among-others", partial(target_sight.alone, build, size)),
    ]


def _built(spec: TargetSpec[Any], options: Sequence[str], weights: Path | None) -> Target[Any]:
    return spec.build(configured(spec, options), weights, CPU)


def _builds(build: Build, size: Size) -> None:
    target = build()
    stride = getattr(target, "stride", None)
    require(
        isinstance(stride, int) and stride > 0,
        f"stride is {stride!r}: say of how many pixels heights and widths must be multiples, 1 if"
        " of any",
    )
    require(
        not size[0] % target.stride and not size[1] % target.stride,
        f"pictures of {size[0]} x {size[1]} pixels don't suit a stride of {target.stride}: give the"
        " checks a size that does",
    )
    if hasattr(target, "size"):
        height, width = target.size
        require(
            height % target.stride == width % target.stride == 0,
            f"the target's own size is {height} x {width}, no multiples of its stride of"
            f" {target.stride}: give a size that it can see",
        )
    require(
        networks(target),
        "no attribute of the target is a torch.nn.Module: keep the model in one, so that it can be"
        " seen that it stays as it is",
    )


def _broken(spec: TargetSpec[Any], options: Sequence[str]) -> None:
    require(
        spec.weights is None or spec.weights.is_file(),
        f"the spec says that it ships {spec.weights}, and there is no such file: package it",
    )
    config = configured(spec, options)
    with TemporaryDirectory() as folder:
        damaged = Path(folder) / "damaged.safetensors"
        damaged.write_bytes(b"no weights " * 100)
        for path, what in ((Path(folder) / "missing", "missing"), (damaged, "damaged")):
            refuses(
                partial(spec.build, config, path, CPU),
                f"build takes a {what} weights file",
                "read the file it is given, and raise a MagkitError that names it",
            )


def _classes(build: Build) -> None:
    names: list[Any] = list(build().classes)
    require(names, "classes is empty: name those that can be asked for")
    require(
        all(map(_is_name, names)),
        f"classes holds {next(n for n in (*names, '') if not _is_name(n))!r}: names are texts that"
        " say something",
    )
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"classes names {', '.join(twice)} twice: leave out what can't be told")
    require(ANY not in names, f"a class is named '{ANY}', which means any of them: rename it")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _labels(build: Build, size: Size) -> None:
    target, images = build(), pictures(2, size)
    any_two = objects([ANY, ANY], size)
    for found in (asked(target, size), target.labels(any_two)):
        finite_terms(target.losses(images, found))
    require(
        callable(getattr(target.labels(any_two), "moved", None)),
        "what labels returns can't be moved: give it the method that magkit.Labels describes",
    )
    refuses(
        lambda: target.labels(objects([NO_CLASS, NO_CLASS], size)),
        "labels takes a class that is not there",
        "raise a MagkitError that names the class",
    )
    with suppress(MagkitError):  # masks that it can't do without are missing
        target.labels([[Annotation(label)] for label in two_classes(target)])
