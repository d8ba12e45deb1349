"""Checks of a self-supervised method: `magkit.protocols.Method`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from magkit.options import option_pairs
from magkit.selfsup.model import PretrainModel
from magkit.selfsup.recipe import make_recipe
from magkit.specs import MethodSpec
from magkit.testing.assertions import (
    Check,
    differing_tensors,
    finite_terms,
    listed,
    own_parameters,
    require,
    same,
    unregistered_tensors,
)
from magkit.testing.magnifier_methods import magnifier_method_checks
from magkit.testing.spec_checks import parse_config, spec_checks
from magkit.testing.toy_data import MAPS
from magkit.testing.training_harness import (
    BRANCH,
    PICTURES,
    Training,
    loss_terms,
    total_loss,
)

DESCENT, RATE = 10, 1e-3  # steps along the gradient of the same pictures
STOPS = (2, 5)  # before the first checkpoint, and between two
LONG: Mapping[str, Any] = {"steps": 40, "sample_every": 40, "save_every": 40}
# Two branches, each batch in two parts, and more steps than there are between checkpoints.
SHORT: Mapping[str, Any] = {"steps": 7, "sample_every": 4, "save_every": 3, "accumulate": 2}


def method_checks(spec: MethodSpec[Any], *, options: Sequence[str] = ()) -> list[Check]:
    """Return the checks of a self-supervised method.

    One that trains whole magnifiers: see `magnifier_method_checks`. Others are trained by magkit's
    loop on 4,096 toy images: an encoder with batch normalisation, batches of 16 views of 32 pixels,
    feature maps of 16 channels and 8 x 8 cells.

    Args:
        spec: The method.
        options: KEY=VALUE texts as after `--opt`, over those of the spec's first preset. Small
            networks make the checks fast.
    """
    if spec.trains == "magnifier":
        return magnifier_method_checks(spec, options)
    long = Training(spec, options, (BRANCH,), LONG)
    short = Training(spec, options, ("one", "two"), SHORT)
    return [
        *spec_checks(spec, options),
        Check("presets-are-known", partial(_presets, spec)),
        Check("builds", partial(_builds, spec, long)),
        Check("parameters-are-told", partial(_parameters, long)),
        Check("loss-terms-are-named-finite-scalars", partial(_terms, long)),
        Check("embeds-pictures", partial(_embeds, long)),
        Check("gradients-reach-all-that-is-trained", partial(_gradients, long)),
        Check("trains", partial(_trains, long)),
        Check("does-not-collapse", partial(_does_not_collapse, long)),
        Check("keys-follow", partial(_keys_follow, long)),
        Check("resumes-to-the-bit", partial(_resumes, short)),
        Check("respects-the-seed", partial(_respects_seed, short)),
        Check("holds-no-state-of-its-own", partial(_holds_no_state, short)),
    ]


def _presets(spec: MethodSpec[Any]) -> None:
    for name, preset in spec.presets.items():
        require(preset.why.strip(), f"the preset '{name}' says nothing of its values' origin")
        make_recipe(preset.settings)
        spec.build(parse_config(spec, option_pairs(preset.options)), MAPS)


def _builds(spec: MethodSpec[Any], training: Training) -> None:
    for config in (spec.config(), training.config()):
        method = spec.build(config, MAPS)
        require(
            isinstance(method, nn.Module),
            f"build returns {type(method).__name__}, which is no torch.nn.Module: its state could"
            " not be saved",
        )
        for name in ("keyed", "shuffled"):
            value = getattr(method, name, None)
            require(
                isinstance(value, bool),
                f"{name} is {value!r} where magkit asks for True or False: say which",
            )


def _parameters(training: Training) -> None:
    method = training.learner().methods[BRANCH]
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


def _terms(training: Training) -> None:
    learner = training.learner()
    learner.before_step(0.0)
    views = training.views(learner)
    exact = loss_terms(learner, views)[BRANCH]
    with torch.autocast("cpu", torch.bfloat16):
        half = loss_terms(learner, views)[BRANCH]
    finite_terms(exact)
    finite_terms(half, " under --precision bf16")


def _embeds(training: Training) -> None:
    learner = training.learner().eval()
    view = training.views(learner)[BRANCH][0]
    with torch.no_grad():
        found = learner.method(BRANCH).embed(learner.encoder(view.images_NCHW)[BRANCH])
    shape = tuple(found.shape)
    require(
        len(shape) == 2 and shape[0] == PICTURES and shape[1] > 1,
        f"embed returns {shape} for {PICTURES} pictures: return one vector each, ({PICTURES}, D)",
    )
    require(bool(found.isfinite().all()), "embed returns what is no number: keep it finite")


def _gradients(training: Training) -> None:
    """Require a gradient of all trained parameters, after a training: at first some may be 0."""
    learner = training.restored()
    learner.before_step(0.5)
    total = total_loss(loss_terms(learner, training.views(learner)))
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


def _trains(training: Training) -> None:
    """Require that steps change all trained parameters and lower the loss."""
    done = training.result
    broken = [line["step"] for line in done.metrics if line["gradient"] is None]
    require(
        not broken,
        f"step {listed(broken)} of {len(done.metrics)} had no finite loss or gradient: keep both"
        " finite",
    )
    start, end = training.learner().state_dict(), done.learner.state_dict()
    still = [name for name in _trained(done.learner) if same(start[name], end[name])]
    require(
        not still,
        f"{len(done.metrics)} steps leave {listed(still)} as it was drawn: before_keys and"
        " after_step must not undo what the optimiser does",
    )
    before, after = _descent(training.restored(), training)
    require(
        after < before,
        f"{DESCENT} steps of Adam along its gradient take the loss of the same {PICTURES} pictures"
        f" from {before:.5f} to {after:.5f}: let it depend on maps and state alone, draw from"
        " torch's global generator, and detach no part of what is compared",
    )


def _descent(learner: PretrainModel, training: Training) -> tuple[float, float]:
    """Return the loss of fixed images and draws before and after steps of Adam."""
    adam = torch.optim.Adam((p for p in learner.parameters() if p.requires_grad), RATE)
    views, losses = training.views(learner), []
    for _ in range(DESCENT + 1):
        learner.before_step(0.5)
        loss = total_loss(loss_terms(learner, views))
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        adam.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def _does_not_collapse(training: Training) -> None:
    """Require that the training's monitor warns of no collapse."""
    done = training.result
    require(
        not done.warnings,
        f"{'; '.join(done.warnings)}: whatever keeps embeddings apart, negatives, a predictor, a"
        " stopped gradient, doesn't",
    )


def _keys_follow(training: Training) -> None:
    """Require that the second encoder of a keyed method moves, without gradients."""
    start, end = training.learner().keys, training.result.learner.keys
    if BRANCH in end:
        before, after = (own_parameters(keys[BRANCH]) for keys in (start, end))
        require(
            differing_tensors(before, after),
            "the method is keyed, and the second encoder stays as it was drawn: move it after the"
            " encoder in before_keys or after_step, or say keyed = False",
        )
        require(
            not any(p.requires_grad for p in after.values()),
            "the second encoder got gradients switched on: leave them off, it follows",
        )


def _trained(learner: PretrainModel) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in learner.named_parameters() if p.requires_grad}


def _resumes(training: Training) -> None:
    """Require that an interrupted training ends as an uninterrupted one, to the bit."""
    whole, stopped = training.result, training.train(STOPS)
    differ = differing_tensors(whole.learner.state_dict(), stopped.learner.state_dict())
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


def _respects_seed(training: Training) -> None:
    """Require that the seed determines the result, and that another changes it."""
    once, again = training.result.learner, training.train().learner
    differ = differing_tensors(once.state_dict(), again.state_dict())
    require(
        not differ,
        f"two trainings with the same seed end with another {listed(differ)}: take every draw from"
        " torch's global generator, which magkit seeds for each step",
    )
    other = replace(training, settings={**training.settings, "seed": 1})
    ours, theirs = training.learner().methods, other.learner().methods
    trained = [p for p in ours.parameters() if p.requires_grad and p.ndim > 1]
    require(
        not trained or differing_tensors(ours.state_dict(), theirs.state_dict()),
        "another seed gives the same random weights: draw them from torch's global generator, and"
        " don't seed it",
    )


def _holds_no_state(training: Training) -> None:
    """Require that all tensors are parameters or buffers, which are saved and moved to devices."""
    loose = unregistered_tensors(training.result.learner.methods)
    require(
        not loose,
        f"after a step {listed(loose)} is a tensor that is neither a parameter nor a buffer:"
        " neither is it saved nor does it go to the device; use register_buffer, or forget it in"
        " after_step",
    )
