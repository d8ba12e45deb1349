"""Loading and saving of magnifiers' weights, and translation of published layouts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.options import from_mapping, key_values, parse_options
from magkit.plugins import registry
from magkit.protocols import Magnifier
from magkit.runtime.seeds import derived_seed
from magkit.runtime.weights import (
    WEIGHTS_HINT,
    Weights,
    mismatch,
    read_weights,
    recorded_config,
    to_storable,
    write_tensors,
)
from magkit.specs import MagnifierSpec
from magkit.version import __version__


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the layers in a published port of a magnifier.

    Attributes:
        magnifier: the magnifier's name.
        source: repository of the port.
        mark: a key that no other layout has.
        renames: patterns at the beginning of a key and their replacements; the first that fits.
        options: of the network to build.
    """

    magnifier: str
    source: str
    mark: str
    renames: tuple[tuple[str, str], ...]
    options: Mapping[str, Any]


# Its layers are numbered in `Sequential`s, padding and ReLU included.
CGST = Layout(
    magnifier="magnet",
    source="cgst/motion-magnification",
    mark="encoder.conv.1.weight",
    renames=(
        (r"encoder\.conv\.1\.", "encoder.cba_1.conv2d."),
        (r"encoder\.conv\.4\.", "encoder.cba_2.conv2d."),
        (r"encoder\.res\.(\d)\.", r"encoder.resblks.\1."),
        (r"encoder\.texture\.1\.", "encoder.texture_cba.conv2d."),
        (r"encoder\.texture\.3\.", "encoder.texture_resblks.0."),
        (r"encoder\.texture\.4\.", "encoder.texture_resblks.1."),
        (r"encoder\.shape\.1\.", "encoder.motion_cba.conv2d."),
        (r"encoder\.shape\.3\.", "encoder.motion_resblks.0."),
        (r"encoder\.shape\.4\.", "encoder.motion_resblks.1."),
        (r"manipulator\.conv1\.1\.", "manipulator.g.conv2d."),
        (r"manipulator\.conv2\.1\.", "manipulator.h_conv.conv2d."),
        (r"manipulator\.conv2\.2\.", "manipulator.h_resblk."),
        (r"decoder\.res\.(\d)\.", r"decoder.resblks.\1."),
        (r"decoder\.deconv\.2\.", "decoder.cba_1.conv2d."),
        (r"decoder\.deconv\.5\.", "decoder.cba_2.conv2d."),
    ),
    options={"bias": True, "signed": False, "base": "reference"},
)

POSTECH = Layout(
    magnifier="magnet",
    source="postech-ami/Deep-Motion-Mag-Pytorch",
    mark="res_manipulator.conv1.weight",
    renames=(
        (r"encoder\.res_encoder\.conv(\d)\.", r"encoder.cba_\1.conv2d."),
        (r"encoder\.res_encoder\.residual\.", "encoder.resblks."),
        (r"encoder\.conv_tex\.", "encoder.texture_cba.conv2d."),
        (r"encoder\.texture_resblk\.", "encoder.texture_resblks."),
        (r"encoder\.conv_sha\.", "encoder.motion_cba.conv2d."),
        (r"encoder\.shape_resblk\.", "encoder.motion_resblks."),
        (r"res_manipulator\.conv1\.", "manipulator.g.conv2d."),
        (r"res_manipulator\.conv2\.", "manipulator.h_conv.conv2d."),
        (r"res_manipulator\.residual\.0\.", "manipulator.h_resblk."),
        (r"decoder\.conv_tex_aft_upsample\.", "decoder.texture_cba.conv2d."),
        (r"decoder\.res_decoder\.residual\.", "decoder.resblks."),
        (r"decoder\.res_decoder\.conv_up_sample\.", "decoder.enlarged_cba.conv2d."),
        (r"decoder\.res_decoder\.conv(\d)\.", r"decoder.cba_\1.conv2d."),
    ),
    options={"bias": True, "kernel": 7, "texture_conv": True, "enlarged_conv": True},
)

LAYOUTS = (CGST, POSTECH)

# The two convolutions of a residual block, as the ports name them.
_IN_BLOCKS = (
    (r"(resblks?(?:\.\d)?)\.(?:block\.1|conv1)\.", r"\1.cba_1.conv2d."),
    (r"(resblks?(?:\.\d)?)\.(?:block\.4|conv2)\.", r"\1.cba_2.conv2d."),
)


def translate_layout(
    magnifier: str, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rename the tensors of a known layout; return others unchanged, without options.

    Args:
        magnifier: name of the magnifier.
        tensors: by their published names.

    Returns:
        The tensors by magkit's names, and the options of the network to build.
    """
    for layout in LAYOUTS:
        if layout.magnifier == magnifier and layout.mark in tensors:
            renamed = {_renamed(key, layout): value for key, value in tensors.items()}
            return renamed, dict(layout.options)
    return dict(tensors), {}


def _renamed(key: str, layout: Layout) -> str:
    for pattern, name in layout.renames:
        key, found = re.subn(f"^{pattern}", name, key)
        if found:
            break
    for pattern, name in _IN_BLOCKS:
        key = re.sub(pattern, name, key)
    return key


DEFAULT_MAGNIFIER = "magnet-fast"
WEIGHTS = Path(__file__).parents[1] / "weights"


def load_magnifier(
    name: str = DEFAULT_MAGNIFIER,
    weights: str | Path | None = None,
    options: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Magnifier:
    """Build a magnifier with its weights, in evaluation mode.

    Args:
        name: as `--magnifier` takes it.
        weights: a file, or the name of weights that ship; None: the magnifier's own.
        options: KEY=VALUE texts, which override the configuration recorded with the weights.
        device: of the magnifier.

    Raises:
        UsageError: there is no such magnifier, or option, or the weights are another's.
        MagkitError: the weights are missing, damaged, not weights, or don't fit.
    """
    spec = registry().magnifier(name)
    parse_options(spec.config, options, _owner(spec))  # before files are looked for
    return build_magnifier(spec, find_weights(spec, weights), options, device)


def build_magnifier(
    spec: MagnifierSpec[Any],
    path: Path | None,
    options: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Magnifier:
    """Build a magnifier in evaluation mode, with the weights of a file or without any.

    Raises:
        UsageError: there is no such option, or the weights are another's.
        MagkitError: the weights are damaged, not weights, or don't fit.
    """
    owner = _owner(spec)
    if path is None:
        return _in_eval_mode(spec.build(parse_options(spec.config, options, owner)), device)
    found = read_weights(path)
    _check_magnifier(found, spec, path)
    tensors, layout = translate_layout(spec.name, found.tensors)
    recorded = {**recorded_config(found, path), **layout}
    config = from_mapping(spec.config, {**recorded, **key_values(options)}, owner)
    magnifier = _build(spec, config, path)
    _load_tensors(magnifier, tensors, path, spec.name)
    return _in_eval_mode(magnifier, device)


def read_configuration(spec: MagnifierSpec[Any], path: Path, options: Sequence[str]) -> Any:
    """Return the configuration recorded with a magnifier's weights, overridden by options.

    Raises:
        MagkitError: the file can't be read.
        UsageError: an option is wrong.
    """
    found = read_weights(path)
    layout = translate_layout(spec.name, found.tensors)[1]
    given = {**recorded_config(found, path), **layout, **key_values(options)}
    return from_mapping(spec.config, given, _owner(spec))


def _build(spec: MagnifierSpec[Any], config: Any, path: Path) -> Magnifier:
    try:
        return spec.build(config)
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        # A file may ask for more channels than there is memory for.
        plugin = registry().raised_by(error)
        who = f"the plugin {plugin}: " if plugin else ""
        raise MagkitError(
            f"{who}no network can be built of the configuration in {path}: {error}",
            plugin.disable_hint if plugin else "",
        ) from error


def _owner(spec: MagnifierSpec[Any]) -> str:
    return f"magnifier '{spec.name}'"


def find_weights(spec: MagnifierSpec[Any], weights: str | Path | None) -> Path | None:
    """Return the file of a magnifier's weights; None for a magnifier without weights.

    Raises:
        MagkitError: there is no such file, or none ships with a magnifier that needs weights.
    """
    if weights is not None:
        return weights_file(weights)
    if spec.weights is None and spec.losses is None:
        return None
    if spec.weights is None:
        raise MagkitError(
            f"no weights ship with the magnifier '{spec.name}'",
            "give some with --weights FILE, or train it with 'magkit finetune'",
        )
    if not spec.weights.is_file():
        raise MagkitError(
            f"the weights of the magnifier '{spec.name}' are missing: {spec.weights}",
            "reinstall its package, or give --weights FILE",
        )
    return spec.weights


def weights_file(weights: str | Path) -> Path:
    """Return a weights file: `weights` itself, or the file that ships by that name.

    Raises:
        MagkitError: there is neither.
    """
    path = Path(weights)
    if path.is_file():
        return path
    shipped = {file.stem: file for file in WEIGHTS.glob("*.safetensors")}
    if str(weights) in shipped:
        return shipped[str(weights)]
    if path.is_dir():
        raise MagkitError(f"{path} is a folder, not a weights file", WEIGHTS_HINT)
    raise MagkitError(
        f"there is no weights file {path}, and none of that name ships",
        did_you_mean(str(weights), shipped),
    )


def _check_magnifier(found: Weights, spec: MagnifierSpec[Any], path: Path) -> None:
    owner = found.metadata.get("magnifier", spec.name)
    if owner != spec.name:
        raise UsageError(
            f"{path} holds weights of the magnifier '{owner}', not of '{spec.name}'",
            f"add --magnifier {owner}",
        )


def _load_tensors(
    magnifier: Magnifier, tensors: Mapping[str, torch.Tensor], path: Path, name: str
) -> None:
    if not isinstance(magnifier, nn.Module):
        raise UsageError(f"the magnifier '{name}' has no weights to load", "leave out --weights")
    wanted = magnifier.state_dict()
    problem = mismatch(wanted, tensors)
    if problem:
        raise MagkitError(
            f"{path} does not fit the magnifier '{name}': {problem}",
            "are these another magnifier's weights? --magnifier names the one to build",
        )
    magnifier.load_state_dict(tensors)


def _in_eval_mode(magnifier: Magnifier, device: torch.device | str) -> Magnifier:
    if isinstance(magnifier, nn.Module):
        # Convolutions on a CPU are faster with a pixel's channels side by side.
        magnifier.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return magnifier


WEIGHTS_DRAW = 3  # first part of the key of the draw of random weights


def trainable_magnifier(
    spec: MagnifierSpec[Any],
    config: Any,
    path: Path | None,
    options: Sequence[str],
    seed: int,
) -> nn.Module:
    """Build a magnifier in training mode, all of whose parameters are trained.

    Args:
        spec: of the magnifier.
        config: its configuration.
        path: the file of its initial weights; None: random ones.
        options: KEY=VALUE texts, over the configuration recorded with the weights.
        seed: of random weights.

    Raises:
        MagkitError: as `load_magnifier`.
        UsageError: likewise.
    """
    torch.manual_seed(derived_seed(seed, WEIGHTS_DRAW))
    model = spec.build(config) if path is None else load_magnifier(spec.name, path, options)
    assert isinstance(model, nn.Module)
    # Backward passes on a CPU are slower with a pixel's channels side by side.
    model.to(memory_format=torch.contiguous_format).train().requires_grad_(True)
    return model


def check_stride(model: Any, name: str, size: int, items: str) -> None:
    """Refuse to train a magnifier on frames whose side it does not take.

    Raises:
        UsageError: the side is no multiple of its stride.
    """
    if size % model.stride:
        raise UsageError(
            f"{items} of {size} pixels don't suit the magnifier '{name}'",
            f"--size must be a multiple of {model.stride}",
        )


def training_metadata(
    spec: MagnifierSpec[Any], config: Any, *, steps: int, seed: int, settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return the metadata of trained weights, for `save_weights`."""
    return {
        "magnifier": spec.name,
        "config": json.dumps(asdict(config)),
        "steps": str(steps),
        "seed": str(seed),
        "settings": json.dumps(settings),
        "magkit": __version__,
    }


def save_weights(
    path: Path,
    module: nn.Module,
    metadata: Mapping[str, str],
    *,
    half: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a network's weights as safetensors, atomically.

    Args:
        path: of the file.
        module: the network.
        metadata: texts; `load_magnifier` reads "magnifier" and "config" (JSON).
        half: whether floats are rounded to half precision.
        overwrite: whether an existing file is replaced.

    Raises:
        MagkitError: the file exists or can't be written, or a weight is not finite (in half
            precision).
    """
    tensors = {
        key: to_storable(value.half() if half and value.is_floating_point() else value)
        for key, value in module.state_dict().items()
    }
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MagkitError(f"{path} is not written: {key} holds non-finite values")
    write_tensors(path, tensors, metadata, overwrite=overwrite)
