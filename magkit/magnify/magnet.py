"""`magnet`: the encoder-manipulator-decoder of Oh et al., ECCV 2018 (arXiv 1804.02684).

By default, layers, names and sizes are those of a public PyTorch port (877,968
parameters): no bias, no normalisation, reflected borders, frames in [-1, 1]. The port's decoder
enlarges textures without the paper's convolution, and its manipulator uses 3 x 3 kernels.

The manipulator's output is added to the shape of B, so that its alpha is `factor - 1`. In the
ports that add it to the shape of A, alpha is `factor`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.magnet_spec import MagnetConfig
from magkit.synth.triplets import Triplets

REGULARIZER = 0.1  # lambda of Oh et al., section 3.3


@dataclass(frozen=True, slots=True)
class Features:
    """The texture and shape of frames."""

    texture: torch.Tensor  # (N, 32, H/4, W/4)
    shape: torch.Tensor  # (N, 32, H/2, W/2)


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    relu: bool = True,
    bias: bool = False,
) -> nn.Module:
    """Make reflection padding, a convolution, and ReLU if wanted."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=bias)
    nn.init.trunc_normal_(convolution.weight, std=0.02)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    layers = OrderedDict[str, nn.Module]()
    layers["pad"] = nn.ReflectionPad2d((kernel - 1) // 2)
    layers["conv2d"] = convolution
    if relu:
        layers["activation"] = nn.ReLU()
    return nn.Sequential(layers)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions added to their input, nothing after the sum."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.cba_1 = conv(channels, channels, 3, bias=bias)
        self.cba_2 = conv(channels, channels, 3, relu=False, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape (N, C, H, W)."""
        out: torch.Tensor = x + self.cba_2(self.cba_1(x))
        return out


def blocks(channels: int, count: int, bias: bool) -> nn.Sequential:
    """Chain residual blocks."""
    return nn.Sequential(*(ResidualBlock(channels, bias) for _ in range(count)))


class Encoder(nn.Module):
    """Frames to texture (1/4 of the resolution) and shape (1/2)."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.cba_1 = conv(3, 16, 7, bias=bias)
        self.cba_2 = conv(16, 32, 3, stride=2, bias=bias)
        self.resblks = blocks(32, 3, bias)
        self.texture_cba = conv(32, 32, 3, stride=2, bias=bias)
        self.texture_resblks = blocks(32, 2, bias)
        self.motion_cba = conv(32, 32, 3, bias=bias)
        self.motion_resblks = blocks(32, 2, bias)

    def forward(self, x: torch.Tensor) -> Features:
        """Encode (N, 3, H, W), H and W multiples of 4."""
        x = self.resblks(self.cba_2(self.cba_1(x)))
        return Features(
            texture=self.texture_resblks(self.texture_cba(x)),
            shape=self.motion_resblks(self.motion_cba(x)),
        )


class Manipulator(nn.Module):
    """Equation 6 of the paper: the term that is added to the shape to magnify a difference."""

    def __init__(self, kernel: int, bias: bool) -> None:
        super().__init__()
        self.g = conv(32, 32, kernel, bias=bias)
        self.h_conv = conv(32, 32, 3, relu=False, bias=bias)
        self.h_resblk = ResidualBlock(32, bias)

    def forward(self, difference: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Return h(alpha g(difference)), (N, 32, h, w); alpha is (N, 1, 1, 1)."""
        out: torch.Tensor = self.h_resblk(self.h_conv(self.g(difference) * alpha))
        return out


class Decoder(nn.Module):
    """Texture and shape to a frame."""

    def __init__(self, bias: bool, texture_conv: bool, enlarged_conv: bool) -> None:
        super().__init__()
        self.texture_cba = conv(32, 32, 3, bias=bias) if texture_conv else nn.Identity()
        self.resblks = blocks(64, 9, bias)
        self.enlarged_cba = conv(64, 64, 3, bias=bias) if enlarged_conv else nn.Identity()
        self.cba_1 = conv(64, 32, 3, bias=bias)
        self.cba_2 = conv(32, 3, 7, relu=False, bias=bias)

    def forward(self, texture: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W) in the range of the encoder's."""
        texture = self.texture_cba(F.interpolate(texture, scale_factor=2.0))
        joined = self.resblks(torch.cat([texture, shape], 1))
        enlarged = self.enlarged_cba(F.interpolate(joined, scale_factor=2.0))
        frames: torch.Tensor = self.cba_2(self.cba_1(enlarged))
        return frames


class MagNet(nn.Module):
    """Encoder, manipulator and decoder."""

    # Reflection at 1/4 of the resolution needs two pixels there: 8 keeps every frame above that.
    stride = 8

    def __init__(self, config: MagnetConfig) -> None:
        super().__init__()
        self.signed, self.base = config.signed, config.base
        self.encoder = Encoder(config.bias)
        self.manipulator = Manipulator(config.kernel, config.bias)
        self.decoder = Decoder(config.bias, config.texture_conv, config.enlarged_conv)

    def encode(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1], height and width multiples of 8."""
        features: Features = self.encoder(frames_NCHW * 2 - 1 if self.signed else frames_NCHW)
        return features

    def motion(self, reference: Features, current: Features) -> torch.Tensor:
        """Return the difference of shapes, (N, 32, H/2, W/2)."""
        return current.shape - reference.shape

    def render(self, current: Features, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W) in which `motion` is `factor` (N,) times as large."""
        alpha = factor.view(-1, 1, 1, 1)
        if self.base == "reference":
            shape = current.shape - motion + self.manipulator(motion, alpha)
        else:
            shape = current.shape + self.manipulator(motion, alpha - 1)
        frames: torch.Tensor = self.decoder(current.texture, shape)
        return (frames + 1) / 2 if self.signed else frames


class MagNetEncoder(nn.Module):
    """The encoder alone, for pretraining; its state dict is a part of `MagNet`'s."""

    def __init__(self, config: MagnetConfig) -> None:
        super().__init__()
        self.signed = config.signed
        self.encoder = Encoder(config.bias)

    def forward(self, frames_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode frames in [0, 1] whose sides are multiples of 4; motion is the shape."""
        features = self.encoder(frames_NCHW * 2 - 1 if self.signed else frames_NCHW)
        return {"texture": features.texture, "motion": features.shape}


def magnet_losses(model: MagNet, batch: Triplets) -> dict[str, torch.Tensor]:
    """Return the loss of Oh et al. (ECCV 2018), section 3.3, with lambda = 0.1.

    L1(Y, M) + lambda (L1(texture A, texture C) + L1(texture B, texture M) + L1(shape B, shape C)):
    A and C share their texture, B and C their shape; B and M were coloured alike.
    The network works in [-1, 1], and so does this loss.
    """
    a, b, c, m = (model.encode(frames) for frames in (batch.a, batch.b, batch.c, batch.m))
    frames = model.render(b, model.motion(a, b), batch.factor)
    return {
        "image": 2 * F.l1_loss(frames, batch.m),
        "texture_ac": REGULARIZER * F.l1_loss(a.texture, c.texture),
        "texture_bm": REGULARIZER * F.l1_loss(b.texture, m.texture),
        "shape_bc": REGULARIZER * F.l1_loss(b.shape, c.shape),
    }
