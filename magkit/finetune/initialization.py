"""Initial weights of a finetuning: random ones, a magnifier's, or an encoder's alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.finetune.recipe import EncoderConfig, Recipe
from magkit.magnify.encoder import (
    LoadReport,
    encoder_config,
    encoder_file,
    encoder_layout,
    encoder_spec,
    load_encoder,
)
from magkit.magnify.load import check_stride, read_configuration, trainable_magnifier
from magkit.options import from_mapping, key_values, parse_options
from magkit.specs import MagnifierSpec


@dataclass(frozen=True, slots=True)
class Initialization:
    """A magnifier and its initial weights.

    Attributes:
        spec: of the magnifier.
        options: KEY=VALUE texts, its own.
        weights: a file of weights to start from; None: random ones.
        encoder: an encoder to start from, its file or the folder of its run.
    """

    spec: MagnifierSpec[Any]
    options: Sequence[str]
    weights: Path | None
    encoder: Path | None

    def config(self) -> Any:
        """Return its configuration: the one recorded with the weights, overridden by the options.

        Raises:
            MagkitError: the file of weights or the encoder is missing or can't be used.
            UsageError: an option is wrong, or both weights and an encoder are given.
        """
        owner = f"magnifier '{self.spec.name}'"
        parsed = parse_options(self.spec.config, self.options, owner)
        if self.weights is not None and self.encoder is not None:
            raise UsageError("--weights and --encoder exclude each other")
        if self.weights is not None:
            if not self.weights.is_file():
                raise MagkitError(f"there is no weights file {self.weights}")
            return read_configuration(self.spec, self.weights, self.options)
        if self.encoder is not None:
            recorded = asdict(encoder_config(self.spec, encoder_file(self.encoder)))
            return from_mapping(self.spec.config, {**recorded, **key_values(self.options)}, owner)
        return parsed

    def network(self, config: Any, recipe: Recipe) -> tuple[nn.Module, LoadReport | None]:
        """Build the magnifier with its initial weights, and report what an encoder provided.

        Raises:
            MagkitError: the weights or the encoder don't fit.
            UsageError: scenes of the recipe's size don't suit it.
        """
        model = trainable_magnifier(
            self.spec, config, self.weights, self.options, recipe.train.seed
        )
        check_stride(model, self.spec.name, recipe.scenes.size, "scenes")
        if self.encoder is None:
            return model, None
        return model, load_encoder(model, self.spec, self.encoder, config)


def parameter_groups(
    model: nn.Module, spec: MagnifierSpec[Any], config: Any, encoder: EncoderConfig
) -> list[dict[str, Any]] | None:
    """Return parameter groups for `TrainState.start`; None if the encoder trains like the rest.

    Args:
        model: the magnifier.
        spec: of the magnifier.
        config: of the magnifier.
        encoder: freezing and learning rate of its encoder.

    Raises:
        UsageError: the magnifier has no encoder.
    """
    if encoder == EncoderConfig():
        return None
    names = encoder_layout(encoder_spec(spec), config)
    inside = [value for key, value in model.named_parameters() if key in names]
    rest = [value for key, value in model.named_parameters() if key not in names]
    return [
        {"params": rest},
        {"params": inside, "factor": encoder.encoder_lr, "frozen": encoder.freeze},
    ]
