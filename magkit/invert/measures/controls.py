"""Pictures that need no inversion: what they score, an inverted picture has to beat.

A detector that finds its object in one of these says little about a picture made for it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.runtime.seeds import generator
from magkit.synth.textures import texture

GREY = 0.5
SPREAD = (0.229, 0.224, 0.225)  # of red, green and blue over ImageNet's pictures
OBJECT, GROUND = 0.3, 0.7  # greys of a flat mask
TEXTURES = (1 << 20, 1 << 31)  # numbers from here on: scenes take theirs from the first thousands
NOISE, TEXTURE = 31, 32  # first parts of the keys of their draws


def noise(size: tuple[int, int], seed: int, *key: int) -> Tensor:
    """Return Gaussian noise about mid-grey with ImageNet's deviations, clipped to [0, 1].

    Args:
        size: (height, width) in pixels.
        seed: of the draw.
        key: which draw of the seed it is.

    Returns:
        (3, H, W), always the same for a size, seed and key.
    """
    drawn = torch.randn(3, *size, generator=generator(seed, NOISE, *key))
    return (GREY + drawn * torch.tensor(SPREAD)[:, None, None]).clamp(0, 1)


def flat_mask(mask_HW: Tensor) -> Tensor:
    """Return an even object of grey 0.3 on an even ground of grey 0.7, (3, H, W).

    It holds the mask's shape and nothing else.
    """
    return torch.where(mask_HW, OBJECT, GROUND).expand(3, -1, -1).contiguous()


def textured_cutout(image_3HW: Tensor, mask_HW: Tensor, seed: int, *key: int) -> Tensor:
    """Return a real frame's object, cut out and laid on a procedural texture.

    Args:
        image_3HW: the real frame, RGB in [0, 1].
        mask_HW: its object, bool.
        seed: of the texture.
        key: which draw of the seed it is.

    Returns:
        (3, H, W) in [0, 1]: the frame's own pixels inside of the mask.
    """
    draw = generator(seed, TEXTURE, *key)
    number = int(torch.randint(*TEXTURES, (), generator=draw))
    height, width = mask_HW.shape
    return torch.where(mask_HW, image_3HW, _ground(number, height, width))


def _ground(number: int, height: int, width: int) -> Tensor:
    """The middle of a texture that was scaled to the longer side, (3, height, width)."""
    side = max(height, width)
    square = F.interpolate(
        texture(number)[None] / 255, (side, side), mode="bilinear", antialias=True
    )
    top, left = (side - height) // 2, (side - width) // 2
    return square[0, :, top : top + height, left : left + width].clamp(0, 1)
