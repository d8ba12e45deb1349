"""What is asked of what a target sees: its statistics, its predictions, always the same."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from magkit.invert.statistics import Moments, bn_statistics, record_moments
from magkit.protocols import Annotation, Statistic
from magkit.testing.assertions import differing, near, networks, require, told
from magkit.testing.toy_data import Build, Size, asked, objects, pictures, two_classes

SCORES = 1e-3  # of a score: sums are added up in another order
MASKS = 5e-3  # of a mask, the mean over a picture: single pixels at its edge may flip


def statistics_are_found(build: Build, size: Size) -> None:
    """Ask for the layers' memories, and that the layers see pictures as they remember them."""
    target = build()
    found, parts = list(target.statistics()), networks(target)
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
        target.losses(pictures(2, size), asked(target, size))
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
    count = 0 if moments is None else len(moments.mean_C)
    require(
        count == len(statistic.mean_C),
        f"the layer '{statistic.name}' sees {count} channels and its statistic has"
        f" {len(statistic.mean_C)}: they belong to its inputs",
    )


def predicts(build: Build, size: Size) -> None:
    """Ask for a list of each picture, of known classes, the surest first."""
    target, images = build(), pictures(3, size)
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


def repeats(build: Build, size: Size) -> None:
    """Ask that nothing is drawn at random."""
    target = build()
    images, labels = pictures(2, size), asked(target, size)
    first, second = (target.losses(images, labels) for _ in range(2))
    require(
        not differing(first, second),
        f"the same pictures have losses of {told(first)}, then of {told(second)}: draw nothing at"
        " random, and put the model into eval mode",
    )
    once, again = (target.predict(images) for _ in range(2))
    _same_annotations(once, again, 0.0, "predict sees something else in the same pictures")


def alone(build: Build, size: Size) -> None:
    """Ask that no picture sees the others of its batch, and that losses are means."""
    target, images = build(), pictures(2, size)
    together = target.predict(images)
    alone = [target.predict(images[n : n + 1])[0] for n in range(2)]
    _same_annotations(
        together, alone, SCORES, "predict sees something else in a picture beside another"
    )
    label = two_classes(target)[:1]
    asked = objects(label, size)
    one = target.losses(images[:1], target.labels(asked))
    two = target.losses(images[[0, 0]], target.labels([*asked, *asked]))
    require(
        set(one) == set(two) and all(near(one[name], two[name]) for name in one),
        f"a picture has losses of {told(one)}, and twice in a batch of {told(two)}: let them be"
        " means over pictures, and normalise nothing over the batch",
    )


def _same_annotations(
    ours: Sequence[Sequence[Annotation]],
    theirs: Sequence[Sequence[Annotation]],
    tolerance: float,
    problem: str,
) -> None:
    """Ask that two predictions agree; a `tolerance` of 0 asks for the same to the bit."""
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
    """Return the places that stay: of what is hardly surer than the next, the order may change."""
    if tolerance == 0:
        return list(range(len(scores)))
    edged = [math.inf, *scores, -math.inf]
    gaps = [upper - lower for upper, lower in pairwise(edged)]
    return [n for n in range(len(scores)) if min(gaps[n], gaps[n + 1]) > 2 * tolerance]


def _same_masks(one: Tensor | None, other: Tensor | None, *, exactly: bool) -> bool:
    if one is None or other is None:
        return one is other
    if exactly or one.shape != other.shape:
        return torch.equal(one, other)
    return bool((one - other).abs().mean() <= MASKS)
