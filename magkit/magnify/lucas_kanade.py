"""Least-squares displacements (Lucas & Kanade, IJCAI 1981), backward warping and splatting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

STRIPS = 8  # a single picture is warped in so many parts, by threads in parallel


def pixel_grid(field: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (2, H, W) of a field's pixels."""
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device, dtype=field.dtype)
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def backward_warp(
    image: torch.Tensor,
    field: torch.Tensor,
    mode: str = "bilinear",
    corner: tuple[int, int] = (0, 0),
) -> torch.Tensor:
    """Sample `image` at x - field(x); its borders are repeated.

    Args:
        image: (N, C, H, W).
        field: in pixels of the image, (N, 2, h, w).
        mode: of `grid_sample`.
        corner: row and column in the image of the field's first pixel.

    Returns:
        (N, C, h, w).
    """
    return sample(image, sampling_grid(field, image.shape[-2:], corner), mode)


def sampling_grid(
    field: torch.Tensor, size: Sequence[int], corner: tuple[int, int] = (0, 0)
) -> torch.Tensor:
    """Return where `grid_sample` finds x - field(x).

    Args:
        field: in pixels of the image, (N, 2, h, w).
        size: height and width of the image.
        corner: row and column in the image of the field's first pixel.

    Returns:
        (N, h, w, 2), -1 and 1 at the centres of the image's outer pixels.
    """
    across, down = (2 / max(side - 1, 1) for side in reversed(size))
    rows, columns = (torch.arange(side, device=field.device) for side in field.shape[-2:])
    x = (columns + corner[1]).to(field.dtype) * across - 1
    y = (rows + corner[0]).to(field.dtype)[:, None] * down - 1
    x, y = torch.sub(x, field[:, 0], alpha=across), torch.sub(y, field[:, 1], alpha=down)
    return torch.stack([x, y], 3)


def sample(image: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """Call `grid_sample`, a single picture in strips: on a CPU it uses one thread a picture."""
    (n, channels), (height, width) = image.shape[:2], grid.shape[1:3]
    strips = math.gcd(height, STRIPS) if n == 1 else 1
    grid = grid.reshape(n * strips, height // strips, width, 2)
    image = image.expand(n * strips, -1, -1, -1)
    sampled = F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)
    if strips == 1:
        return sampled
    return sampled.transpose(0, 1).reshape(1, channels, height, width)


def upsample(field: torch.Tensor, times: int) -> torch.Tensor:
    """Enlarge a field bilinearly; values are not scaled."""
    return F.interpolate(field, scale_factor=times, mode="bilinear", align_corners=False)


def upsample_convex(field: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Double a field's resolution; each new pixel is a mean of the nine nearest old ones.

    Unlike bilinear enlargement this keeps edges sharp. Source: RAFT (Teed & Deng, ECCV 2020), 3.3.

    Args:
        field: (N, 2, h, w).
        weights: logits (N, 36, h, w), nine for each of the four new pixels.

    Returns:
        (N, 2, 2h, 2w), in the unit of `field`.
    """
    n, _, height, width = weights.shape
    shares = weights.view(n, 1, 9, 4, height, width).softmax(2)
    near = [maps[:, :, None] for maps in neighbours(field, 1)]
    return F.pixel_shuffle(weighted_sum(near, shares).flatten(1, 2), 2)


def splat(values: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Move every pixel of `values` (N, C, H, W) by `field`, split bilinearly over four pixels.

    Contributions are summed; those outside the frame are lost. Source: Niklaus & Liu, "Softmax
    splatting for video frame interpolation", CVPR 2020, equation 1.
    """
    n, channels, height, width = values.shape
    position = pixel_grid(field) + field
    corner = position.floor()
    fx, fy = (position - corner).unbind(1)
    x0, y0 = corner.long().unbind(1)
    batch = torch.arange(n, device=values.device)[:, None, None] * (height * width)
    rows = values.permute(0, 2, 3, 1).reshape(-1, channels)
    out = rows.new_zeros(n * height * width, channels)
    for dx, dy, share in (
        (0, 0, (1 - fx) * (1 - fy)),
        (1, 0, fx * (1 - fy)),
        (0, 1, (1 - fx) * fy),
        (1, 1, fx * fy),
    ):
        x, y = x0 + dx, y0 + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        target = batch + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        weighted = rows * (share * inside).reshape(-1, 1)
        out = out.scatter_add(0, target.reshape(-1, 1).expand(-1, channels), weighted)
    return out.view(n, height, width, channels).permute(0, 3, 1, 2)


def neighbours(maps: torch.Tensor, dilation: int) -> list[torch.Tensor]:
    """Return each pixel and its eight neighbours `dilation` pixels away, row by row.

    Args:
        maps: (N, C, H, W); beyond the border its outer pixels are repeated.
        dilation: distance of the neighbours in pixels.

    Returns:
        Nine views (N, C, H, W).
    """
    (height, width), d = maps.shape[-2:], dilation
    padded = F.pad(maps, (d,) * 4, mode="replicate")
    starts = [(y, x) for y in (0, d, 2 * d) for x in (0, d, 2 * d)]
    return [padded[..., y : y + height, x : x + width] for y, x in starts]


def weighted_sum(maps: Sequence[torch.Tensor], shares: torch.Tensor) -> torch.Tensor:
    """Return the sum of `maps` (each N, C, ...) times their `shares` (N, C or 1, K, ...)."""
    total = maps[0] * shares[:, :, 0]
    for index in range(1, len(maps)):
        total = torch.addcmul(total, maps[index], shares[:, :, index])
    return total


# Farid & Simoncelli, "Differentiation of discrete multidimensional signals", 2004, table 1:
# a pair of five-tap filters whose ratio is a derivative, whatever the direction.
SMOOTH = (0.037659, 0.249153, 0.426375, 0.249153, 0.037659)
DERIVE = (-0.109604, -0.276691, 0.0, 0.276691, 0.109604)
CELL = 4  # pixels: side of the squares over which the equations are summed
STEP = 2  # pixels: stride of the filters, which blur by more than this
ILLUMINATION = 5  # cells: window of the mean brightness that is subtracted
LEVELS = 5  # of the pyramid
DAMPING = 0.005  # of solutions that serve to compare cells
BRIGHTNESS_SCALE = 32.0  # makes gradients of ordinary pictures about 1


def pyramid(brightness: torch.Tensor) -> list[torch.Tensor]:
    """Build a pyramid of brightness (N, 1, H, W) with the local mean (illumination) subtracted.

    It is subtracted from every frame before frames are compared, so that the remaining details
    move as a whole, and least squares are right for patterns of any length.

    Returns:
        Details of the frame, of the frame halved, ... (N, 1, H/2^k, W/2^k).
    """
    levels = [brightness]
    for _ in range(LEVELS):
        levels.append(F.avg_pool2d(levels[-1], 2))
    cells = (CELL - 1).bit_length()  # levels from pixels to cells
    window, pad = ILLUMINATION, ILLUMINATION // 2
    means = [F.avg_pool2d(c, window, 1, pad, count_include_pad=False) for c in levels[cells:]]
    return [level - upsample(mean, CELL) for level, mean in zip(levels, means, strict=False)]


class NormalEquations(nn.Module):
    """The normal equations of each cell of 4 x 4 pixels, with trainable filters."""

    def __init__(self) -> None:
        super().__init__()
        smooth, derive = torch.tensor(SMOOTH), torch.tensor(DERIVE)
        self.gradient = nn.Parameter(
            torch.stack([smooth[:, None] * derive, derive[:, None] * smooth])[:, None]
        )
        self.level = nn.Parameter((smooth[:, None] * smooth)[None, None])

    def forward(
        self, reference: torch.Tensor, current: torch.Tensor, guess: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Set up the equations.

        Args:
            reference: details of brightness (N, 1, H, W) of frame A; see `pyramid`.
            current: those of frame B.
            guess: displacement from A to B where B shows it, pixels, (N, 2, H/4, W/4).

        Returns:
            (xx, xy, yy, xr, yr) a cell (N, 5, H/4, W/4); the mean square of the residual
            brightness after the guess (N, 1, H/4, W/4); and that of r (N, 1, H/4, W/4), see
            `residual_after`.
        """
        moved = backward_warp(reference, upsample(guess, CELL), mode="bicubic")
        gradient = _filtered((current + moved) * (BRIGHTNESS_SCALE / 2), self.gradient)
        change = _filtered((current - moved) * BRIGHTNESS_SCALE, self.level)
        gx, gy = gradient.chunk(2, 1)
        x, y = upsample(guess, CELL // STEP).chunk(2, 1)
        rest = gx * x + gy * y - change
        squares = [gx * gx, gx * gy, gy * gy]
        products = [*squares, gx * rest, gy * rest, change * change, rest * rest]
        pooled = F.avg_pool2d(torch.cat(products, 1), CELL // STEP)
        return pooled[:, :5], pooled[:, 5:6], pooled[:, 6:]


def residual_after(equations: torch.Tensor, rest: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """Return the mean square of the equations' residual at a displacement, (N, 1, h, w).

    Args:
        equations: (N, 5, h, w), see `NormalEquations`.
        rest: mean square of their right-hand side r, (N, 1, h, w).
        d: displacement in pixels, (N, 2, h, w).
    """
    xx, xy, yy, xr, yr = equations.chunk(5, 1)
    x, y = d.chunk(2, 1)
    square: torch.Tensor = (xx * x + 2 * xy * y - 2 * xr) * x + (yy * y - 2 * yr) * y + rest
    return square.clamp(min=0)


def _filtered(details: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Filter details (N, 1, H, W) at every second pixel: (N, filters, H/2, W/2)."""
    padded = F.pad(details, (2, 2, 2, 2), mode="replicate")
    with torch.autocast(details.device.type, enabled=False):
        return F.conv2d(padded, filters, stride=STEP)


class Aggregation(nn.Module):
    """Sums the equations of cells that move alike, over larger distances at every step.

    Propagation-separation (Polzehl & Spokoiny, 2000): a neighbour is weighted by how well its
    solution satisfies this cell's own equations, given noise; with each step both are more precise
    and the neighbours further away. Logits of a network are added.
    """

    def __init__(self, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilations = dilations
        steps = torch.arange(len(dilations), dtype=torch.float32)
        # Initial values: a rounding error of half a grey level, spread over ever more pixels.
        self.log_noise = nn.Parameter(math.log(1e-4) - steps * math.log(3))
        self.log_slack = nn.Parameter(torch.full((len(dilations),), math.log(0.02)))
        self.log_strictness = nn.Parameter(torch.zeros(len(dilations)))

    def forward(self, equations: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Aggregate equations (N, 5, h, w) with logits (N, 9 steps, h, w) of the neighbours."""
        for step, dilation in enumerate(self.dilations):
            solution = solve(equations, equations.new_full((1, 1, 1, 1), DAMPING))
            near = neighbours(torch.cat([equations, solution], 1), dilation)
            noise, slack = self.log_noise[step].exp(), self.log_slack[step].exp()
            residual = torch.cat(
                [squared_change(equations, maps[:, 5:] - solution) for maps in near], 1
            )
            allowed = noise + slack * squared_change(equations, solution)
            penalty = (1 + residual / allowed).log() * self.log_strictness[step].exp()
            shares = (logits[:, 9 * step : 9 * step + 9] - penalty).softmax(1)
            equations = weighted_sum([maps[:, :5] for maps in near], shares[:, None])
        return equations


def squared_change(equations: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """Return d^T (sum g g^T) d for d (N, 2, h, w), the squared change of brightness by d."""
    xx, xy, yy = equations[:, :3].chunk(3, 1)
    x, y = d.chunk(2, 1)
    return torch.addcmul(torch.addcmul(xx * x, xy, y, value=2) * x, yy * y, y)


def contrast_gain(reference: list[torch.Tensor], current: list[torch.Tensor]) -> torch.Tensor:
    """Return the gain (N, 1, 1, 1) that gives `current` the contrast of `reference`."""
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
