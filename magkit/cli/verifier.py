"""Weights of targets, and the verifier of an inversion: options, loading, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magkit.cli.output import Output
from magkit.cli.parameters import merged_options
from magkit.errors import MagkitError, UsageError

if TYPE_CHECKING:
    import torch

    from magkit.invert.judge import Judges
    from magkit.invert.plan import ClassPlan, ClipPlan
    from magkit.invert.targets.load import LoadedTarget, TargetChoice

NO_VERIFIER = "none"

TargetWeights = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Weights of the targets, if not the included ones."),
]
VerifierWeights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Its weights; those that ship if unset.")
]
VerifierOpt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", callback=merged_options, help="An option of it; may be given again."
    ),
]


def parse_verifier(
    name: str, weights: Path | None, options: Sequence[str] | None
) -> TargetChoice | None:
    """Return the chosen verifier; None for "none".

    Raises:
        UsageError: there is none, and weights or options are given.
    """
    from magkit.invert.targets.load import TargetChoice

    if name == NO_VERIFIER and (weights or options):
        raise UsageError(
            "--verifier-weights and --verifier-opt belong to a --verifier, and none is named",
            "--verifier NAME",
        )
    choice = TargetChoice(name, weights=weights, options=tuple(options or ()))
    return None if name == NO_VERIFIER else choice


def load_verifier(
    out: Output,
    choice: TargetChoice | None,
    targets: Sequence[TargetChoice],
    device: torch.device,
) -> LoadedTarget | None:
    """Load the verifier, and warn if it is one of the targets.

    Raises:
        MagkitError, UsageError: it can't be loaded.
    """
    from magkit.invert.targets.load import load_target

    if choice is None:
        return None
    choice.config()  # errors of its options speak for themselves
    try:
        verifier = load_target(choice, device)
    except MagkitError as error:
        hint = "--verifier-weights names other weights, --verifier somebody else"
        raise type(error)(f"the verifier can't be used: {error.message}", hint) from error
    if any(choice.name == each.name for each in targets):
        out.warn(
            f"'{choice.name}' is inverted and verifies too: what it sees proves nothing; "
            "--verifier names another"
        )
    return verifier


def warn_of_verifier(
    out: Output, judges: Judges, plans: Sequence[ClipPlan] | Sequence[ClassPlan]
) -> None:
    """Warn if the verifier predicts no masks for a clip, or doesn't know a class."""
    from magkit.invert.judge import knows_class, predicts_no_masks
    from magkit.invert.plan import ClipPlan

    verifier = judges.verifier
    if verifier is None:
        return
    is_clip = isinstance(plans[0], ClipPlan)
    if is_clip and predicts_no_masks(verifier, plans[0].size, judges.device):
        out.warn(f"'{verifier.name}' names classes and shows no masks: its J and F are 0")
    classes = dict.fromkeys(
        label
        for plan in plans
        for label in (plan.classes if isinstance(plan, ClipPlan) else plan.labels)
    )
    unknown = [label for label in classes if not knows_class(verifier, label)]
    if unknown:
        out.warn(f"'{verifier.name}' knows no {', '.join(unknown)}: it can't verify them")
