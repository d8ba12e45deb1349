"""Checks of a target: `magkit.protocols.Target`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from magkit.errors import MagkitError
from magkit.invert import ANY
from magkit.protocols import Annotation, Labels, Target
from magkit.specs import TargetSpec
from magkit.testing import target_predictions
from magkit.testing.assertions import (
    Check,
    differing,
    finite_terms,
    near,
    networks,
    refuses,
    require,
    told,
)
from magkit.testing.spec_checks import configured, record_checks
from magkit.testing.toy_data import MOVES, Build, Moves, Size, asked, objects, pictures, two_classes

EXACT = 1e-5  # of losses of the same pictures, whose labels' masks are the same but for rounding
# Seeds and contrasts: a term may have nothing to say of some pictures, and while pictures are made
# they leave the range of 0 to 1.
TRIES = ((0, 1.0), (1, 1.0), (2, 0.3), (3, 2.0))


def gradients_reach(build: Build, size: Size) -> None:
    """Ask that each loss term has a finite gradient, and that it isn't 0 for all pictures."""
    target = build()
    labels, reached = asked(target, size), dict[str, bool]()
    for seed, contrast in TRIES:
        images = (0.5 + contrast * (pictures(2, size, seed) - 0.5)).requires_grad_()
        terms = target.losses(images, labels)
        finite_terms(terms)
        for name, term in terms.items():
            reached[name] = _reaches(name, term, images) or reached.get(name, False)
    for name, found in reached.items():
        require(
            found,
            f"no gradient of the loss term '{name}' reaches both pictures: let it depend on each",
        )


def _reaches(name: str, term: Tensor, images: Tensor) -> bool:
    require(
        term.requires_grad,
        f"the loss term '{name}' doesn't depend on the pictures: don't detach them, and don't work"
        " under no_grad",
    )
    (gradient,) = torch.autograd.grad(term, images, retain_graph=True, allow_unused=True)
    if gradient is None:
        return False
    require(
        bool(gradient.isfinite().all()),
        f"the gradient of the loss term '{name}' is not finite: keep away from roots, logarithms"
        " and quotients of nothing",
    )
    return bool(gradient.flatten(1).any(1).all())


def labels_move(build: Build, size: Size) -> None:
    """Labels that are moved are those of masks that were moved, whatever the model makes of it."""
    target = build()
    for move in MOVES:
        moves = move(size)
        if moves.size[0] % target.stride or moves.size[1] % target.stride:
            continue
        images = pictures(2, moves.size)
        named = two_classes(target)
        found = target.labels(objects(named, size)).moved(moves.maps_N23, moves.size)
        expected = target.labels(moves.masks_moved(objects(named, size)))
        _alike(target, images, (found, expected), moves)


def _alike(
    target: Target[Any], images: Tensor, labels: tuple[Labels, Labels], moves: Moves
) -> None:
    found, expected = (target.losses(images, each) for each in labels)
    require(
        set(found) == set(expected) and all(near(found[n], expected[n], EXACT) for n in expected),
        f"labels {moves.how} give losses of {told(found)}, and those of masks {moves.how} give"
        f" {told(expected)}: let moved look up the old picture's masks at the map's places",
    )


def model_stays(build: Build, size: Size) -> None:
    """Ask that parameters and buffers stay, and that no parameter asks for a gradient."""
    target = build()
    parts = networks(target)
    open_ones = [name for part in parts for name, p in part.named_parameters() if p.requires_grad]
    require(
        not open_ones,
        f"{len(open_ones)} parameters of the model need gradients, {open_ones[:1]} among them:"
        " switch them off by requires_grad_(False)",
    )
    before = [_copied(part) for part in parts]
    images = pictures(2, size).requires_grad_()
    terms = target.losses(images, asked(target, size))
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    target.predict(images.detach())
    for part, old in zip(parts, before, strict=True):
        changed = differing(old, part.state_dict())
        require(
            not changed,
            f"losses or predict change {', '.join(changed[:3])} of the model: put it into eval mode"
            " and leave it there",
        )


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


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
        Check("gradients-reach-the-pictures", partial(gradients_reach, build, size)),
        Check("labels-move-with-the-picture", partial(labels_move, build, size)),
        Check(
            "statistics-are-found", partial(target_predictions.statistics_are_found, build, size)
        ),
        Check(
            "predicts-known-classes-surest-first", partial(target_predictions.predicts, build, size)
        ),
        Check("model-stays-as-it-is", partial(model_stays, build, size)),
        Check("says-the-same-each-time", partial(target_predictions.repeats, build, size)),
        Check(
            "sees-a-picture-alone-as-among-others", partial(target_predictions.alone, build, size)
        ),
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
