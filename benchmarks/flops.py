"""Count the floating-point operations per frame.

    python benchmarks/flops.py
    python benchmarks/flops.py --height 720 --width 1280

Both frames are encoded. torch counts convolutions and matrix products; the table below counts every
other arithmetic operation, and an operation that is not in the table is an error. Operations that
only move data (views, padding, concatenation, pixel shuffling) are free. Exit code 1 above the bar,
which is for `magnet-fast` at 384x384, every cell of it rendered.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

BAR = 8e9
FUNCTION = 10  # exp, log, tanh, square root and the like

Cost = Callable[[tuple[Any, ...], Any], float]  # (arguments, result) -> operations


def each(cost: float) -> Cost:
    """Cost per element of the result."""
    return lambda _, result: cost * result.numel()


def each_input(cost: float) -> Cost:
    """Cost per element of the first argument."""
    return lambda arguments, _: cost * arguments[0].numel()


def pooling(arguments: tuple[Any, ...], result: Any) -> float:
    """Count an addition for each pixel of the window, and a division."""
    return float((math.prod(arguments[1]) + 1) * result.numel())


def sampling(arguments: tuple[Any, ...], result: Any) -> float:
    """Count a product and a sum for each tap and channel, and the weights of each place."""
    taps, weights = {0: (4, 14), 2: (16, 70)}[arguments[2]]
    return float(2 * taps * result.numel() + weights * result.numel() / result.shape[1])


def bias(arguments: tuple[Any, ...], result: Any) -> float:
    """Count the addition that torch leaves out of a convolution."""
    return 0.0 if arguments[2] is None else float(result.numel())


FREE = """
    _local_scalar_dense _to_copy _unsafe_view addmm alias arange bmm cat chunk clone col2im
    constant_pad_nd copy_ detach empty empty_like expand fill_ full full_like im2col lift_fresh mm
    new_empty new_full new_ones new_zeros ones ones_like permute pixel_shuffle pixel_unshuffle
    reflection_pad2d replication_pad2d reshape resize_ scalar_tensor select slice split
    split_with_sizes squeeze stack t transpose unbind unfold unsqueeze upsample_nearest2d view zero_
    zeros zeros_like
"""
ARITHMETIC = """
    abs add add_ bitwise_and clamp clamp_min copysign div div_ eq floor ge gt le logical_and lt
    maximum minimum mul mul_ ne neg reciprocal relu relu_ round rsub square sub sub_ where
"""
FUNCTIONS = "asinh exp log log1p rsqrt sigmoid sqrt tanh"
COSTS: dict[str, Cost] = {
    **dict.fromkeys(ARITHMETIC.split(), each(1)),
    **dict.fromkeys(FUNCTIONS.split(), each(FUNCTION)),
    "addcmul": each(3),
    "lerp": each(3),
    "pow": lambda arguments, result: result.numel() * (1 if arguments[1] == 2 else FUNCTION),
    "_softmax": each(FUNCTION + 4),
    "sum": each_input(1),
    "mean": each_input(1),
    "amax": each_input(1),
    "std": each_input(3),
    "var": each_input(3),
    "linalg_vector_norm": each_input(2),
    "avg_pool2d": pooling,
    "upsample_bilinear2d": each(8),
    "grid_sampler_2d": sampling,
    "scatter_add": lambda arguments, _: arguments[3].numel(),
    "index_add": lambda arguments, _: arguments[3].numel(),
    "convolution": bias,
}


class Rest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that FlopCounterMode does not, by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()
        self.unknown: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in COSTS:
            self.counts[name] += round(COSTS[name](args, result))
        elif name not in FREE.split():
            self.unknown.add(name)
        return result


def counted(name: str, height: int, width: int) -> dict[str, Any]:
    """Count a network's operations for a frame, its sides rounded up to multiples of the stride."""
    from magkit.plugins import registry

    spec = registry().magnifier(name)
    network = spec.build(spec.config())
    height, width = (-(-side // network.stride) * network.stride for side in (height, width))
    frames = torch.rand(2, 1, 3, height, width)
    with torch.no_grad(), FlopCounterMode(display=False) as products, Rest() as rest:
        reference, current = network.encode(frames[0]), network.encode(frames[1])
        network.render(current, network.motion(reference, current), torch.tensor([10.0]))
    if rest.unknown:
        raise SystemExit(f"operations of unknown cost: {', '.join(sorted(rest.unknown))}")
    products_total = products.get_total_flops()
    return {
        "gflop": round((products_total + rest.counts.total()) / 1e9, 3),
        "convolutions": round(products_total / 1e9, 3),
        "rest": {key: round(value / 1e9, 4) for key, value in rest.counts.most_common()},
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument("--width", type=int, default=384)
    options = parser.parse_args()
    size = options.height, options.width
    result = {name: counted(name, *size) for name in ("magnet-fast", "magnet")}
    print(json.dumps({"size": f"{size[1]}x{size[0]}", **result}))
    raise SystemExit(size == (384, 384) and result["magnet-fast"]["gflop"] * 1e9 > BAR)


if __name__ == "__main__":
    main()
