"""Least-squares measurement of small displacements (Lucas & Kanade, IJCAI 1981).

With B(x) = A(x - d) and a first guess d0, the brightness left over after warping A by d0 is linear
in what is missing: B - A(x - d0) = -g (d - d0), g the gradient. Summed over pixels that move alike,

    (sum g g^T + lambda I) d = sum g (g d0 - (B - A(x - d0)))

gives d to a hundredth of a pixel; lambda draws d to nought where nothing is seen.
The five numbers (xx, xy, yy, xr, yr) of these equations are what a network then shares among
pixels.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.networks.geometry import neighbours, upsample, warp, weighted_sum

# Farid & Simoncelli, "Differentiation of discrete multidimensional signals", 2004, table 1:
# a pair of five-tap filters whose ratio is a derivative, whatever the direction.
SMOOTH = (0.037659, 0.249153, 0.426375, 0.249153, 0.037659)
DERIVE = (-0.109604, -0.276691, 0.0, 0.276691, 0.109604)
CELL = 4  # pixels: side of the squares over which the equations are first summed
STEP = 2  # pixels: the filters, which blur by more than this, are evaluated on a grid so wide
LIGHT = 5  # cells: changes of light smoother than this are taken out
LEVELS = 5  # how often a frame is halved
DAMPING = 0.005  # of a solution that only serves to compare cells
BRIGHTNESS = 32.0  # brings gradients of ordinary pictures to about 1


def pyramid(brightness: torch.Tensor) -> list[torch.Tensor]:
    """Halve brightness (N, 1, H, W) again and again and take smooth light out of the results.

    Light comes out of every frame, before anything is compared: what is left moves as a whole, so
    that least squares read patterns of any length rightly.

    Returns:
        Details of the frame itself, of the frame halved, ... (N, 1, H/2^k, W/2^k).
    """
    levels = [brightness]
    for _ in range(LEVELS):
        levels.append(F.avg_pool2d(levels[-1], 2))
    cells = (CELL - 1).bit_length()  # levels from pixels to cells
    around = LIGHT // 2
    lights = [F.avg_pool2d(c, LIGHT, 1, around, count_include_pad=False) for c in levels[cells:]]
    return [level - upsample(light, CELL) for level, light in zip(levels, lights, strict=False)]


class Equations(nn.Module):
    """The normal equations of each cell of 4 x 4 pixels, with filters that training may refine."""

    def __init__(self) -> None:
        super().__init__()
        smooth, derive = torch.tensor(SMOOTH), torch.tensor(DERIVE)
        self.gradient = nn.Parameter(
            torch.stack([smooth[:, None] * derive, derive[:, None] * smooth])[:, None]
        )
        self.level = nn.Parameter((smooth[:, None] * smooth)[None, None])

    def forward(
        self, reference: torch.Tensor, current: torch.Tensor, guess: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Set up the equations.

        Args:
            reference: details of brightness (N, 1, H, W) of frame A; see `pyramid`.
            current: those of frame B.
            guess: displacement from A to B where B shows it, pixels, (N, 2, H/4, W/4).

        Returns:
            (xx, xy, yy, xr, yr) a cell (N, 5, H/4, W/4), and the mean square of the brightness
            that the guess leaves unexplained (N, 1, H/4, W/4).
        """
        moved = warp(reference, upsample(guess, CELL), mode="bicubic")
        gradient = _filtered((current + moved) * (BRIGHTNESS / 2), self.gradient)
        change = _filtered((current - moved) * BRIGHTNESS, self.level)
        gx, gy = gradient.chunk(2, 1)
        x, y = upsample(guess, CELL // STEP).chunk(2, 1)
        rest = gx * x + gy * y - change
        products = torch.cat([gx * gx, gx * gy, gy * gy, gx * rest, gy * rest, change * change], 1)
        pooled = F.avg_pool2d(products, CELL // STEP)
        return pooled[:, :5], pooled[:, 5:]


def _filtered(details: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Filter details (N, 1, H, W) at every second pixel: (N, filters, H/2, W/2)."""
    return F.conv2d(F.pad(details, (2, 2, 2, 2), mode="replicate"), filters, stride=STEP)


class Share(nn.Module):
    """Adds up the equations of cells that move alike, further at every step.

    Propagation-separation (Polzehl & Spokoiny, 2000): a neighbour counts as far as its solution
    would satisfy this cell's own equations, given noise; with each step both are better known and
    the neighbours lie further away. What the network has to say comes on top.
    """

    def __init__(self, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilations = dilations
        steps = torch.arange(len(dilations), dtype=torch.float32)
        # Starting values: a rounding error of half a grey level, spread over ever more pixels.
        self.log_noise = nn.Parameter(math.log(1e-4) - steps * math.log(3))
        self.log_slack = nn.Parameter(torch.full((len(dilations),), math.log(0.02)))
        self.log_strictness = nn.Parameter(torch.zeros(len(dilations)))

    def forward(self, equations: torch.Tensor, advice: torch.Tensor) -> torch.Tensor:
        """Share equations (N, 5, h, w) by advice (N, 9 steps, h, w), logits of the neighbours."""
        for step, dilation in enumerate(self.dilations):
            solution = solve(equations, equations.new_full((1, 1, 1, 1), DAMPING))
            near = neighbours(torch.cat([equations, solution], 1), dilation)
            noise, slack = self.log_noise[step].exp(), self.log_slack[step].exp()
            misfit = _energy(equations, near[:, 5:] - solution[:, :, None])
            allowed = noise + slack * _energy(equations, solution[:, :, None])
            doubt = (1 + misfit / allowed).log() * self.log_strictness[step].exp()
            shares = (advice[:, 9 * step : 9 * step + 9] - doubt).softmax(1)
            equations = weighted_sum(near[:, :5], shares[:, None])
        return equations


def _energy(equations: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """Return d^T (sum g g^T) d, the square of brightness that d (N, 2, K, h, w) stands for."""
    xx, xy, yy = equations[:, :3].unsqueeze(2).unbind(1)
    x, y = d.unbind(1)
    return (xx * x + 2 * xy * y) * x + yy * y * y


def exposure(reference: list[torch.Tensor], current: list[torch.Tensor]) -> torch.Tensor:
    """Return the gain (N, 1, 1, 1) that gives a frame's details the strength of another's."""
    strengths = (frame[2].square().mean((1, 2, 3), True).sqrt() for frame in (reference, current))
    wanted, given = (strength + 1e-3 for strength in strengths)
    return wanted / given


def solve(equations: torch.Tensor, damping: torch.Tensor) -> torch.Tensor:
    """Solve the equations (N, 5, h, w) with lambda = `damping` (N, 1, h, w) > 0: (N, 2, h, w)."""
    xx, xy, yy, xr, yr = equations.chunk(5, 1)
    xx, yy = xx + damping, yy + damping
    determinant = xx * yy - xy * xy
    solution: torch.Tensor = torch.cat([yy * xr - xy * yr, xx * yr - xy * xr], 1) / determinant
    return solution
