"""Who looks at what was made and took no part in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magkit.cli.output import Output
from magkit.errors import UsageError

if TYPE_CHECKING:
    import torch

    from magkit.invert.targets.load import TargetChoice


NOBODY = "none"


def chosen_verifier(
    name: str, weights: Path | None, options: Sequence[str] | None
) -> TargetChoice | None:
    """Return who verifies; None: nobody.

    Raises:
        UsageError: nobody does, and is given weights or options.
    """
    from magkit.invert.targets.load import TargetChoice

    if name == NOBODY and (weights or options):
        raise UsageError(
            "--verifier-weights and --verifier-opt belong to a --verifier, and none is named",
            "--verifier NAME",
        )
    choice = TargetChoice(name, weights=weights, options=tuple(options or ()))
    return None if name == NOBODY else choice


def check_verifier(
    out: Output, verifier: TargetChoice, targets: Sequence[TargetChoice], device: torch.device
) -> None:
    """Find out that a verifier can't be used before the work, and warn if it proves nothing."""
    from magkit.errors import MagkitError
    from magkit.invert.targets.load import build_target
    from magkit.options import parse_options
    from magkit.plugins import registry

    spec = registry().target(verifier.name)
    parse_options(spec.config, verifier.options, verifier.owner)
    try:
        build_target(verifier, device)
    except MagkitError as error:
        hint = "--verifier-weights names other weights, --verifier somebody else"
        raise type(error)(f"the verifier can't be used: {error.message}", hint) from error
    if any(verifier.name == each.name for each in targets):
        out.warn(
            f"'{verifier.name}' is inverted and verifies too: what it sees proves nothing; "
            "--verifier names another"
        )
