"""What is asked of a target's losses: their gradients, their labels, and that nothing moves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from magkit.protocols import Labels, Target
from magkit.testing.asked import MOVES, Build, Moves, Size, asked, objects, pictures, two_classes
from magkit.testing.check import require
from magkit.testing.modules import differing, networks
from magkit.testing.outcomes import finite_terms, near, told

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
