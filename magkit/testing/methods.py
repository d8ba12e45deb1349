"""What is asked of a self-supervised method: `magkit.protocols.Method`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from magkit.options import option_pairs
from magkit.selfsup.recipe import make_recipe
from magkit.specs import MethodSpec
from magkit.testing import method_learning as learning
from magkit.testing import method_state as state
from magkit.testing.check import Check, require
from magkit.testing.easy import MAPS
from magkit.testing.lessons import BRANCH, PICTURES, Lesson, terms
from magkit.testing.modules import own_parameters
from magkit.testing.outcomes import finite_terms, listed
from magkit.testing.records import configured, record_checks

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
    long = Lesson(spec, options, (BRANCH,), LONG)
    short = Lesson(spec, options, ("one", "two"), SHORT)
    taught, told = cache(long.taught), cache(short.taught)
    return [
        *record_checks(spec, options),
        Check("presets-are-known", partial(_presets, spec)),
        Check("builds", partial(_builds, spec, long)),
        Check("parameters-are-told", partial(_parameters, long)),
        Check("loss-terms-are-named-finite-scalars", partial(_terms, long)),
        Check("embeds-pictures", partial(_embeds, long)),
        Check(
            "gradients-reach-all-that-is-trained", partial(learning.gradients_reach, taught, long)
        ),
        Check("trains", partial(learning.trains, taught, long)),
        Check("does-not-collapse", partial(learning.spreads, taught)),
        Check("keys-follow", partial(learning.follows, taught, long)),
        Check("resumes-to-the-bit", partial(state.resumes, told, short)),
        Check("respects-the-seed", partial(state.respects_seeds, told, short)),
        Check("holds-no-state-of-its-own", partial(state.holds_nothing_else, told)),
    ]


def _presets(spec: MethodSpec[Any]) -> None:
    for name, preset in spec.presets.items():
        require(preset.why.strip(), f"the preset '{name}' says nothing of its values' origin")
        make_recipe(preset.settings)
        spec.build(configured(spec, option_pairs(preset.options)), MAPS)


def _builds(spec: MethodSpec[Any], lesson: Lesson) -> None:
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


def _parameters(lesson: Lesson) -> None:
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


def _terms(lesson: Lesson) -> None:
    learner = lesson.learner()
    learner.before_step(0.0)
    views = lesson.views(learner)
    exact = terms(learner, views)[BRANCH]
    with torch.autocast("cpu", torch.bfloat16):
        half = terms(learner, views)[BRANCH]
    finite_terms(exact)
    finite_terms(half, " under --precision bf16")


def _embeds(lesson: Lesson) -> None:
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
