"""The description of a pretraining: method, network, data and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magkit.errors import UsageError, did_you_mean
from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainJob:
    """Everything that determines the result of a pretraining, and how it is watched.

    Attributes:
        method: name, as `--method` takes it.
        options: KEY=VALUE texts, the method's own.
        preset: one of the method's presets; None: its first.
        magnifier: whose encoder is trained; its name, as `--magnifier` takes it.
        magnifier_options: KEY=VALUE texts, the magnifier's own.
        backbone: what to train in place of a magnifier's encoder: a network of torchvision, or an
            own one by its reference, "package.module:factory".
        branch: of the encoder; "both": all that it has.
        data: where frames come from, one place or several; None: see `open_frames`.
        weights: of a magnifier to start from, a file or the name of weights that ship, for methods
            that train whole magnifiers; None: random ones.
        scenes: how many scenes are rendered where there are no data.
        settings: of the training, over the preset; see `make_recipe`.
        probe: a folder of labelled pictures that encoders are probed with; it doesn't change the
            result. See `label_probe.read_labelled`.
    """

    method: str
    options: Sequence[str] = ()
    preset: str | None = None
    magnifier: str = "magnet-fast"
    magnifier_options: Sequence[str] = ()
    backbone: str | None = None
    branch: str = "both"
    data: str | Sequence[str] | None = None
    weights: str | Path | None = None
    scenes: int = 1000
    settings: Mapping[str, Any] = field(default_factory=dict)
    probe: Path | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """Return the places of the data; none where none is named."""
        return (self.data,) if isinstance(self.data, str) else tuple(self.data or ())


def find_preset(spec: MethodSpec[Any], name: str | None) -> Preset:
    """Return a preset of a method, by default its first.

    Raises:
        UsageError: it has none of that name.
    """
    if name is None:
        return next(iter(spec.presets.values()), Preset(why="magkit's defaults"))
    if name not in spec.presets:
        problem = f"the method '{spec.name}' has no preset '{name}'"
        raise UsageError(problem, did_you_mean(name, spec.presets))
    return spec.presets[name]
