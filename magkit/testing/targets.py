"""Checks of a target: `magkit.protocols.Target`."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert import ANY
from magkit.invert.statistics import Moments, bn_statistics, record_moments
from magkit.protocols import Annotation, Statistic, Target
from magkit.specs import TargetSpec
from magkit.testing.assertions import (
    Check,
    cloned_state,
    differing_tensors,
    finite_terms,
    format_terms,
    modules_of,
    require,
    require_equal_losses,
    require_refusal,
    require_stride,
)
from magkit.testing.spec_checks import parse_config, spec_checks
from magkit.testing.toy_data import (
    TRANSFORMS,
    Build,
    Size,
    toy_annotations,
    toy_images,
    toy_labels,
    two_classes,
)

CPU = torch.device("cpu")
NO_CLASS = "no such class"
EXACT = 1e-5  # of losses of the same pictures, whose labels' masks are the same but for rounding
# Seeds and contrasts: a term may have nothing to say of some pictures, and while pictures are made
# they leave the range of 0 to 1.
TRIES = ((0, 1.0), (1, 1.0), (2, 0.3), (3, 2.0))
SCORES = 1e-3  # of a score: sums are added up in another order
MASKS = 5e-3  # of a mask, the mean over a picture: single pixels at its edge may flip


def target_checks(
    spec: TargetSpec[Any],
    *,
    options: Sequence[str] = (),
    weights: Path | None = None,
    size: tuple[int, int] = (64, 64),
) -> list[Check]:
    """Return the checks of a target. It is built once, on the CPU, and runs on toy images.

    Args:
        spec: The target.
        options: KEY=VALUE texts as after `--opt`.
        weights: The file that it is built from; None: those that ship, or that it knows to find.
        size: Height and width of the images, multiples of its stride. Objects are a quarter to a
            half of a side.
    """
    build = cache(partial(_built, spec, options, weights))
    return [
        *spec_checks(spec, options),
        Check("builds", partial(_builds, build, size)),
        Check("refuses-broken-weights", partial(_broken, spec, options)),
        Check("classes-are-named", partial(_classes, build)),
        Check("labels-know-classes", partial(_labels, build, size)),
        Check("gradients-reach-the-pictures", partial(_gradients, build, size)),
        Check("labels-move-with-the-picture", partial(_labels_move, build, size)),
        Check("statistics-are-found", partial(_statistics, build, size)),
        Check("predicts-known-classes-surest-first", partial(_predictions, build, size)),
        Check("model-stays-as-it-is", partial(_model_is_frozen, build, size)),
        Check("says-the-same-each-time", partial(_is_deterministic, build, size)),
        Check("sees-a-picture-alone-as-among-others", partial(_is_independent, build, size)),
    ]


def _built(spec: TargetSpec[Any], options: Sequence[str], weights: Path | None) -> Target[Any]:
    return spec.build(parse_config(spec, options), weights, CPU)


def _builds(build: Build, size: Size) -> None:
    target = build()
    require_stride(target)
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
        modules_of(target),
        "no attribute of the target is a torch.nn.Module: keep the model in one, so that it can be"
        " seen that it stays as it is",
    )


def _broken(spec: TargetSpec[Any], options: Sequence[str]) -> None:
    require(
        spec.weights is None or spec.weights.is_file(),
        f"the spec says that it ships {spec.weights}, and there is no such file: package it",
    )
    config = parse_config(spec, options)
    with TemporaryDirectory() as folder:
        damaged = Path(folder) / "damaged.safetensors"
        damaged.write_bytes(b"no weights " * 100)
        for path, what in ((Path(folder) / "missing", "missing"), (damaged, "damaged")):
            require_refusal(
                partial(spec.build, config, path, CPU),
                f"build takes a {what} weights file",
                "read the file it is given, and raise a MagkitError that names it",
            )


def _classes(build: Build) -> None:
    names: list[Any] = list(build().classes)
    require(names, "classes is empty: name those that can be asked for")
    nameless = [name for name in names if not isinstance(name, str) or not name.strip()]
    require(
        not nameless,
        f"classes holds {next(iter(nameless), '')!r}: names are texts that say something",
    )
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"classes names {', '.join(twice)} twice: leave out what can't be told")
    require(ANY not in names, f"a class is named '{ANY}', which means any of them: rename it")


def _labels(build: Build, size: Size) -> None:
    target, images = build(), toy_images(2, size)
    any_two = toy_annotations([ANY, ANY], size)
    for found in (toy_labels(target, size), target.labels(any_two)):
        finite_terms(target.losses(images, found))
    require(
        callable(getattr(target.labels(any_two), "moved", None)),
        "what labels returns can't be moved: give it the method that magkit.Labels describes",
    )
    require_refusal(
        lambda: target.labels(toy_annotations([NO_CLASS, NO_CLASS], size)),
        "labels takes a class that is not there",
        "raise a MagkitError that names the class",
    )
    with suppress(MagkitError):  # masks that it can't do without are missing
        target.labels([[Annotation(label)] for label in two_classes(target)])


def _gradients(build: Build, size: Size) -> None:
    """Require a finite gradient of each loss term, not 0 for all images."""
    target = build()
    labels, reached = toy_labels(target, size), dict[str, bool]()
    for seed, contrast in TRIES:
        images = (0.5 + contrast * (toy_images(2, size, seed) - 0.5)).requires_grad_()
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


def _labels_move(build: Build, size: Size) -> None:
    """Require that moved labels are those of moved masks, by their losses."""
    target = build()
    for move in TRANSFORMS:
        moves = move(size)
        if moves.size[0] % target.stride or moves.size[1] % target.stride:
            continue
        images, named = toy_images(2, moves.size), two_classes(target)
        found = target.labels(toy_annotations(named, size)).moved(moves.maps_N23, moves.size)
        expected = target.labels(moves.transformed(toy_annotations(named, size)))
        require_equal_losses(
            target.losses(images, found),
            target.losses(images, expected),
            f"labels {moves.how} give losses of {{}}, and those of masks {moves.how} give {{}}: let"
            " moved look up the old picture's masks at the map's places",
            EXACT,
        )


def _model_is_frozen(build: Build, size: Size) -> None:
    """Require that parameters and buffers stay, and that no parameter requires a gradient."""
    target = build()
    parts = modules_of(target)
    open_ones = [name for part in parts for name, p in part.named_parameters() if p.requires_grad]
    require(
        not open_ones,
        f"{len(open_ones)} parameters of the model need gradients, {open_ones[:1]} among them:"
        " switch them off by requires_grad_(False)",
    )
    before = [cloned_state(part) for part in parts]
    images = toy_images(2, size).requires_grad_()
    terms = target.losses(images, toy_labels(target, size))
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    target.predict(images.detach())
    for part, old in zip(parts, before, strict=True):
        changed = differing_tensors(old, part.state_dict())
        require(
            not changed,
            f"losses or predict change {', '.join(changed[:3])} of the model: put it into eval mode"
            " and leave it there",
        )


def _statistics(build: Build, size: Size) -> None:
    """Require all running statistics, of layers that the losses reach, with their channels."""
    target = build()
    found, parts = list(target.statistics()), modules_of(target)
    layers = sum(len(bn_statistics(network)) for network in parts)
    require(
        found or not layers,
        f"statistics is empty, and {layers} layers of the model remember some: tell those",
    )
    names = [each.name for each in found]
    require(len(set(names)) == len(names), "two of the statistics bear one name: name the layers")
    modules = {id(part) for network in parts for part in network.modules()}
    for each in found:
        require(
            id(each.module) in modules,
            f"the layer of the statistic '{each.name}' is no part of the model: give the layer"
            " itself, whose inputs are watched",
        )
        _sound(each)
    with record_moments(found) as seen:
        target.losses(toy_images(2, size), toy_labels(target, size))
    for each in found:
        if each.group == "picture" or each.name in seen.of:
            _seen(each, seen.of.get(each.name))


def _sound(statistic: Statistic) -> None:
    means, variances = statistic.mean_C, statistic.variance_C
    require(
        means.shape == variances.shape and means.ndim == 1,
        f"the statistic '{statistic.name}' has means {tuple(means.shape)} and variances"
        f" {tuple(variances.shape)}: give one of each for every channel",
    )
    require(
        bool(means.isfinite().all()) and bool((variances >= 0).all()),
        f"the statistic '{statistic.name}' has a mean that is no number or a variance below 0: give"
        " the running mean and the running variance",
    )


def _seen(statistic: Statistic, moments: Moments | None) -> None:
    require(
        moments is not None,
        f"losses passes the layer '{statistic.name}' by: leave it out of statistics, or give it the"
        " group 'region' if it is shown parts of pictures",
    )
    assert moments is not None
    count = len(moments.mean_C)
    require(
        count == len(statistic.mean_C),
        f"the layer '{statistic.name}' sees {count} channels and its statistic has"
        f" {len(statistic.mean_C)}: they belong to its inputs",
    )


def _predictions(build: Build, size: Size) -> None:
    """Require a list for each image, of known classes, the most confident first."""
    target, images = build(), toy_images(3, size)
    found, known = target.predict(images), set(target.classes)
    require(
        len(found) == len(images),
        f"predict returns {len(found)} lists for {len(images)} pictures: return one for each",
    )
    for picture in found:
        for each in picture:
            _proper(each, known, size)
        scores = [each.score for each in picture]
        require(
            scores == sorted(scores, reverse=True),
            f"predict gives scores in the order {scores[:4]}: sort them, the surest first",
        )


def _proper(found: Annotation, known: Collection[str], size: Size) -> None:
    require(
        found.label in known,
        f"predict sees '{found.label}', which is none of classes: leave out the background and what"
        " has no name",
    )
    require(0 <= found.score <= 1, f"predict gives a score of {found.score}: keep it from 0 to 1")
    mask = found.mask_HW
    require(
        mask is None or (tuple(mask.shape) == size and mask.is_floating_point()),
        f"predict gives a mask that is no float of {size[0]} x {size[1]}: give one of the pictures'"
        " size, or None",
    )
    require(
        mask is None or bool(((mask >= 0) & (mask <= 1)).all()),
        "predict gives a mask with values outside of 0 to 1: give shares",
    )


def _is_deterministic(build: Build, size: Size) -> None:
    """Require equal losses and predictions in two runs."""
    target = build()
    images, labels = toy_images(2, size), toy_labels(target, size)
    first, second = (target.losses(images, labels) for _ in range(2))
    require(
        not differing_tensors(first, second),
        f"the same pictures have losses of {format_terms(first)}, then of {format_terms(second)}:"
        " draw nothing at random, and put the model into eval mode",
    )
    once, again = (target.predict(images) for _ in range(2))
    _same_annotations(once, again, 0.0, "predict sees something else in the same pictures")


def _is_independent(build: Build, size: Size) -> None:
    """Require predictions that don't depend on the batch, and losses that are means over it."""
    target, images = build(), toy_images(2, size)
    alone = [target.predict(images[n : n + 1])[0] for n in range(2)]
    problem = "predict sees something else in a picture beside another"
    _same_annotations(target.predict(images), alone, SCORES, problem)
    asked = toy_annotations(two_classes(target)[:1], size)
    require_equal_losses(
        target.losses(images[:1], target.labels(asked)),
        target.losses(images[[0, 0]], target.labels([*asked, *asked])),
        "a picture has losses of {}, and twice in a batch of {}: let them be means over pictures,"
        " and normalise nothing over the batch",
    )


def _same_annotations(
    ours: Sequence[Sequence[Annotation]],
    theirs: Sequence[Sequence[Annotation]],
    tolerance: float,
    problem: str,
) -> None:
    """Require that two predictions agree; to the bit with a `tolerance` of 0."""
    remedy = "draw nothing at random, and put the model into eval mode"
    for here, there in zip(ours, theirs, strict=True):
        scores, others = ([each.score for each in side] for side in (here, there))
        require(
            len(here) == len(there)
            and all(abs(a - b) <= tolerance for a, b in zip(scores, others, strict=True)),
            f"{problem} (scores {scores[:4]} and {others[:4]}): {remedy}",
        )
        for n in _settled(scores, tolerance):
            one, other = here[n], there[n]
            require(
                one.label == other.label,
                f"{problem} (labels '{one.label}' and '{other.label}' of one score): {remedy}",
            )
            require(
                _same_masks(one.mask_HW, other.mask_HW, exactly=tolerance == 0),
                f"{problem} (two masks of '{one.label}'): {remedy}",
            )


def _settled(scores: Sequence[float], tolerance: float) -> list[int]:
    """Return the indices whose order is settled: near-equal scores may swap."""
    if tolerance == 0:
        return list(range(len(scores)))
    gaps = [upper - lower for upper, lower in pairwise([math.inf, *scores, -math.inf])]
    return [n for n in range(len(scores)) if min(gaps[n], gaps[n + 1]) > 2 * tolerance]


def _same_masks(one: Tensor | None, other: Tensor | None, *, exactly: bool) -> bool:
    if one is None or other is None:
        return one is other
    if exactly or one.shape != other.shape:
        return torch.equal(one, other)
    return bool((one - other).abs().mean() <= MASKS)
