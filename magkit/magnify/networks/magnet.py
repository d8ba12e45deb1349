"""`magnet`: the encoder-manipulator-decoder of Oh et al., ECCV 2018 (arXiv 1804.02684).

Layers, names and sizes are those of the public PyTorch port that most weights were made with
(877,968 parameters): no bias, no normalisation, reflected borders, frames in [-1, 1]. The port's
decoder enlarges textures without the paper's convolution, and its manipulator uses 3 x 3 kernels.

The port's `amp_factor` multiplies the difference that is added to the shape of B: its alpha is
`factor - 1`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.networks.magnet_spec import MagnetConfig


@dataclass(frozen=True, slots=True)
class Features:
    """What the encoder sees in a frame."""

    texture: torch.Tensor  # (N, 32, H/4, W/4)
    shape: torch.Tensor  # (N, 32, H/2, W/2)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Module:
    """Make reflection padding, a convolution without bias, and ReLU if wanted."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
    nn.init.trunc_normal_(convolution.weight, std=0.02)
    layers = OrderedDict[str, nn.Module]()
    layers["pad"] = nn.ReflectionPad2d((kernel - 1) // 2)
    layers["conv2d"] = convolution
    if relu:
        layers["activation"] = nn.ReLU()
    return nn.Sequential(layers)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions added to their input, nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cba_1 = conv(channels, channels, 3)
        self.cba_2 = conv(channels, channels, 3, relu=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape (N, C, H, W)."""
        out: torch.Tensor = x + self.cba_2(self.cba_1(x))
        return out


def blocks(channels: int, count: int) -> nn.Sequential:
    """Chain residual blocks."""
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class Encoder(nn.Module):
    """Frames to texture (1/4 of the resolution) and shape (1/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.cba_1 = conv(3, 16, 7)
        self.cba_2 = conv(16, 32, 3, stride=2)
        self.resblks = blocks(32, 3)
        self.texture_cba = conv(32, 32, 3, stride=2)
        self.texture_resblks = blocks(32, 2)
        self.motion_cba = conv(32, 32, 3)
        self.motion_resblks = blocks(32, 2)

    def forward(self, x: torch.Tensor) -> Features:
        """Encode (N, 3, H, W) in [-1, 1], H and W multiples of 4."""
        x = self.resblks(self.cba_2(self.cba_1(x)))
        return Features(
            texture=self.texture_resblks(self.texture_cba(x)),
            shape=self.motion_resblks(self.motion_cba(x)),
        )


class Manipulator(nn.Module):
    """Equation 6 of the paper: what is added to the shape to magnify a difference of shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.g = conv(32, 32, 3)
        self.h_conv = conv(32, 32, 3, relu=False)
        self.h_resblk = ResidualBlock(32)

    def forward(self, difference: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Return h(alpha g(difference)), (N, 32, h, w); alpha is (N, 1, 1, 1)."""
        out: torch.Tensor = self.h_resblk(self.h_conv(self.g(difference) * alpha))
        return out


class Decoder(nn.Module):
    """Texture and shape to a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.resblks = blocks(64, 9)
        self.cba_1 = conv(64, 32, 3)
        self.cba_2 = conv(32, 3, 7, relu=False)

    def forward(self, texture: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W), about [-1, 1]."""
        joined = torch.cat([F.interpolate(texture, scale_factor=2.0), shape], 1)
        frames: torch.Tensor = self.cba_2(
            self.cba_1(F.interpolate(self.resblks(joined), scale_factor=2.0))
        )
        return frames


class MagNet(nn.Module):
    """See the module's docstring."""

    # Reflection at 1/4 of the resolution needs two pixels there: 8 keeps every frame above that.
    stride = 8

    def __init__(self, config: MagnetConfig) -> None:
        super().__init__()
        del config  # it has no options: its layers are fixed by the published weights
        self.encoder = Encoder()
        self.manipulator = Manipulator()
        self.decoder = Decoder()

    def encode(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1], height and width multiples of 8."""
        features: Features = self.encoder(frames_NCHW * 2 - 1)
        return features

    def motion(self, reference: Features, current: Features) -> torch.Tensor:
        """Return the difference of shapes, (N, 32, H/2, W/2)."""
        return current.shape - reference.shape

    def render(self, current: Features, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W) in which `motion` is `factor` (N,) times as large."""
        shape = current.shape + self.manipulator(motion, (factor - 1).view(-1, 1, 1, 1))
        frames: torch.Tensor = self.decoder(current.texture, shape)
        return (frames + 1) / 2
