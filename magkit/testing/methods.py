"""Checks of a self-supervised method: `magkit.protocols.Method`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from magkit.options import option_pairs
from magkit.selfsup.model import PretrainModel
from magkit.selfsup.recipe import make_recipe
from magkit.specs import MethodSpec
from magkit.testing.assertions import (
    Check,
    differing,
    finite_terms,
    listed,
    loose_tensors,
    own_parameters,
    require,
    same,
)
from magkit.testing.spec_checks import configured, record_checks
from magkit.testing.toy_data import MAPS
from magkit.testing.training_harness import (
    BRANCH,
    PICTURES,
    Training,
    TrainingResult,
    summed,
    terms,
)

DESCENT, RATE = 10, 1e-3  # steps along the gradient of the same pictures


def gradients_reach(taught: Callable[[], TrainingResult], lesson: Training) -> None:
    """Ask for a gradient of all that is trained.

    After a training: a first step may teach nothing.
    """
    learner = lesson.learnt(taught())
    learner.before_step(0.5)
    total = summed(terms(learner, lesson.views(learner)))
    require(total.requires_grad, "the loss has no gradient: don't detach what is trained")
    torch.autograd.backward(total)
    encoder = {f"encoder.{n}": p for n, p in own_parameters(learner.encoder).items()}
    method = {f"method.{n}": p for n, p in own_parameters(learner.methods[BRANCH]).items()}
    for name, parameter in {**encoder, **method}.items():
        if parameter.requires_grad:
            _reached(name, parameter.grad)


def _reached(name: str, gradient: Tensor | None) -> None:
    require(
        gradient is not None and bool(gradient.any()),
        f"no gradient of the loss reaches {name}: it would never be trained; let the loss depend on"
        " it, or switch its gradient off by requires_grad_(False)",
    )
    require(
        gradient is not None and bool(gradient.isfinite().all()),
        f"the gradient that reaches {name} is not finite: keep away from roots, logarithms and"
        " quotients of nothing",
    )


def trains(taught: Callable[[], TrainingResult], lesson: Training) -> None:
    """Ask that steps change what is trained, and that they lower what the loss says."""
    done = taught()
    broken = [line["step"] for line in done.metrics if line["gradient"] is None]
    require(
        not broken,
        f"step {listed(broken)} of {len(done.metrics)} had no finite loss or gradient: keep both"
        " finite",
    )
    start, end = lesson.learner().state_dict(), done.learner.state_dict()
    still = [name for name in _trained(done.learner) if same(start[name], end[name])]
    require(
        not still,
        f"{len(done.metrics)} steps leave {listed(still)} as it was drawn: before_keys and"
        " after_step must not undo what the optimiser does",
    )
    before, after = _descent(lesson.learnt(done), lesson)
    require(
        after < before,
        f"{DESCENT} steps of Adam along its gradient take the loss of the same {PICTURES} pictures"
        f" from {before:.5f} to {after:.5f}: let it depend on maps and state alone, draw from"
        " torch's global generator, and detach no part of what is compared",
    )


def _descent(learner: PretrainModel, lesson: Training) -> tuple[float, float]:
    """Lower the loss of some pictures, with the same draws and targets; return it before, after."""
    adam = torch.optim.Adam((p for p in learner.parameters() if p.requires_grad), RATE)
    views, losses = lesson.views(learner), []
    for _ in range(DESCENT + 1):
        learner.before_step(0.5)
        loss = summed(terms(learner, views))
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        adam.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def spreads(taught: Callable[[], TrainingResult]) -> None:
    """Ask that embeddings don't collapse, as magkit's own watch tells."""
    done = taught()
    require(
        not done.warnings,
        f"{'; '.join(done.warnings)}: whatever keeps embeddings apart, negatives, a predictor, a"
        " stopped gradient, doesn't",
    )


def follows(taught: Callable[[], TrainingResult], lesson: Training) -> None:
    """Ask that the second encoder of a keyed method follows, without gradients."""
    start, end = lesson.learner().keys, taught().learner.keys
    if BRANCH in end:
        before, after = (own_parameters(keys[BRANCH]) for keys in (start, end))
        require(
            differing(before, after),
            "the method is keyed, and the second encoder stays as it was drawn: move it after the"
            " encoder in before_keys or after_step, or say keyed = False",
        )
        require(
            not any(p.requires_grad for p in after.values()),
            "the second encoder got gradients switched on: leave them off, it follows",
        )


def _trained(learner: PretrainModel) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in learner.named_parameters() if p.requires_grad}


STOPS = (2, 5)  # before the first checkpoint, and between two


def resumes(told: Callable[[], TrainingResult], lesson: Training) -> None:
    """Ask that a training that was stopped ends as one that never was."""
    whole, stopped = told(), lesson.taught(STOPS)
    differ = differing(whole.learner.state_dict(), stopped.learner.state_dict())
    require(
        not differ,
        f"stopped twice and gone on with, a training ends with another {listed(differ)}: what"
        " outlives a step belongs into parameters and buffers (register_buffer), and every draw"
        " into torch's global generator",
    )
    require(
        whole.metrics == stopped.metrics,
        "stopped twice and gone on with, a training measures other losses: what outlives a step"
        " belongs into parameters and buffers (register_buffer)",
    )


def respects_seeds(told: Callable[[], TrainingResult], lesson: Training) -> None:
    """Ask that a seed determines the result, and that another changes it."""
    differ = differing(told().learner.state_dict(), lesson.taught().learner.state_dict())
    require(
        not differ,
        f"two trainings with the same seed end with another {listed(differ)}: take every draw from"
        " torch's global generator, which magkit seeds for each step",
    )
    other = replace(lesson, settings={**lesson.settings, "seed": 1})
    ours, theirs = lesson.learner().methods, other.learner().methods
    trained = [p for p in ours.parameters() if p.requires_grad and p.ndim > 1]
    require(
        not trained or differing(ours.state_dict(), theirs.state_dict()),
        "another seed gives the same random weights: draw them from torch's global generator, and"
        " don't seed it",
    )


def holds_nothing_else(told: Callable[[], TrainingResult]) -> None:
    """Ask that a method keeps no tensor where it is neither saved nor moved to a device."""
    loose = loose_tensors(told().learner.methods)
    require(
        not loose,
        f"after a step {listed(loose)} is a tensor that is neither a parameter nor a buffer:"
        " neither is it saved nor does it go to the device; use register_buffer, or forget it in"
        " after_step",
    )


LONG: Mapping[str, Any] = {"steps": 40, "sample_every": 40, "save_every": 40}
# Two branches, each batch in two parts, and more steps than there are between checkpoints.
SHORT: Mapping[str, Any] = {"steps": 7, "sample_every": 4, "save_every": 3, "accumulate": 2}


def method_checks(spec: MethodSpec[Any], *, options: Sequence[str] = ()) -> list[Check]:
    """Return what is asked of a self-supervised method.

    It is trained by magkit's own loop, on easy pictures: an encoder with batch normalisation, maps
    of 16 channels, batches of 16 views of 32 pixels in maps of 8 x 8 cells, 4,096 pictures.

    Args:
        spec: What it is.
        options: KEY=VALUE texts as after `--opt`, over those of the spec's first preset. Small
            networks suffice, and make the checks fast.
    """
    long = Training(spec, options, (BRANCH,), LONG)
    short = Training(spec, options, ("one", "two"), SHORT)
    taught, told = cache(long.taught), cache(short.taught)
    return [
        *record_checks(spec, options),
        Check("presets-are-known", partial(_presets, spec)),
        Check("builds", partial(_builds, spec, long)),
        Check("parameters-are-told", partial(_parameters, long)),
        Check("loss-terms-are-named-finite-scalars", partial(_terms, long)),
        Check("embeds-pictures", partial(_embeds, long)),
        Check("gradients-reach-all-that-is-trained", partial(gradients_reach, taught, long)),
        Check("trains", partial(trains, taught, long)),
        Check("does-not-collapse", partial(spreads, taught)),
        Check("keys-follow", partial(follows, taught, long)),
        Check("resumes-to-the-bit", partial(resumes, told, short)),
        Check("respects-the-seed", partial(respects_seeds, told, short)),
        Check("holds-no-state-of-its-own", partial(holds_nothing_else, told)),
    ]


def _presets(spec: MethodSpec[Any]) -> None:
    for name, preset in spec.presets.items():
        require(preset.why.strip(), f"the preset '{name}' says nothing of its values' origin")
        make_recipe(preset.settings)
        spec.build(configured(spec, option_pairs(preset.options)), MAPS)


def _builds(spec: MethodSpec[Any], lesson: Training) -> None:
    for config in (spec.config(), lesson.config()):
        method = spec.build(config, MAPS)
        require(
            isinstance(method, nn.Module),
            f"build returns {type(method).__name__}, which is no torch.nn.Module: its state could"
            " not be saved",
        )
        for name in ("keyed", "shuffled"):
            told = getattr(method, name, None)
            require(
                isinstance(told, bool),
                f"{name} is {told!r} where magkit asks for True or False: say which",
            )


def _parameters(lesson: Training) -> None:
    method = lesson.learner().methods[BRANCH]
    given = {id(p) for p in method.parameters()}
    trained = {n: p for n, p in own_parameters(method).items() if p.requires_grad}
    forgotten = [name for name, p in trained.items() if id(p) not in given]
    require(
        not forgotten,
        f"{listed(forgotten)} would be trained and parameters() doesn't tell: yield them there, or"
        " switch their gradients off by requires_grad_(False)",
    )
    strange = given - {id(p) for p in trained.values()}
    require(
        not strange,
        f"parameters() yields {len(strange)} that aren't the method's, or need no gradient: yield"
        " what is trained beside the encoder and nothing else",
    )


def _terms(lesson: Training) -> None:
    learner = lesson.learner()
    learner.before_step(0.0)
    views = lesson.views(learner)
    exact = terms(learner, views)[BRANCH]
    with torch.autocast("cpu", torch.bfloat16):
        half = terms(learner, views)[BRANCH]
    finite_terms(exact)
    finite_terms(half, " under --precision bf16")


def _embeds(lesson: Training) -> None:
    learner = lesson.learner().eval()
    view = lesson.views(learner)[BRANCH][0]
    with torch.no_grad():
        found = learner.method(BRANCH).embed(learner.encoder(view.images_NCHW)[BRANCH])
    shape = tuple(found.shape)
    require(
        len(shape) == 2 and shape[0] == PICTURES and shape[1] > 1,
        f"embed returns {shape} for {PICTURES} pictures: return one vector each, ({PICTURES}, D)",
    )
    require(bool(found.isfinite().all()), "embed returns what is no number: keep it finite")
