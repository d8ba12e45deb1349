"""Published weights whose layers have other names: recognised by their keys, and renamed.

The layouts are those of public PyTorch ports of Oh et al., ECCV 2018. Weights of
ZhengPeng7/motion_magnification_learning-based bear magkit's own names and need no renaming.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """How one port of a magnifier names its layers.

    Attributes:
        magnifier: The magnifier's name.
        source: Where the port is published.
        mark: A key that no other layout has.
        renames: Patterns at the beginning of a key and what stands for them, the first that fits.
        options: What the network is to be built with.
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


def translate(
    magnifier: str, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Rename the tensors of a known layout; others come back as they are, with no options.

    Args:
        magnifier: The name of the magnifier that is to have them.
        tensors: By their published names.

    Returns:
        The tensors by magkit's names, and the options that the network is to be built with.
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
