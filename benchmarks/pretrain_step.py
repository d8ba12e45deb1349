"""Compare a step of MoCo and of BYOL with the same step built from lightly's modules.

    python benchmarks/pretrain_step.py
    python benchmarks/pretrain_step.py --threads 2 --repeats 31

Views, encoder (that of `magnet-fast`, both branches), heads, batch and optimiser are the same. The
two sides alternate, so that other load affects both. On Linux, freed memory stays with the process:
otherwise it is random which side's step requests it again from the system, which costs a tenth of a
step. Boxes for SCRL are timed too, in wall time and processor time. Needs lightly. Exit code 1 if
magkit is slower by more than the noise of 5 %.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from magkit.protocols import View

BAR, NOISE = 1.0, 0.05
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
BATCH, SIZE, CHANNELS = 64, 96, 64
OPTIONS = {"hidden": 256, "dim": 64}
QUEUE, TAU = 4096, 0.99


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()

    import torch

    keep_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    views = [random_view(BATCH) for _ in range(2)]
    steps = {
        "moco": {"magkit": ours("moco", {"queue": QUEUE}, views), "lightly": their_moco(views)},
        "byol": {"magkit": ours("byol", {}, views), "lightly": their_byol(views)},
    }
    result: dict[str, Any] = {"threads": options.threads, "repeats": options.repeats, "bar": BAR}
    for name, sides in steps.items():
        result[name] = in_turn(sides, options.repeats)
    result["boxes"] = {f"batch {count}": boxes(count) for count in (64, 256)}
    print(json.dumps(result))
    raise SystemExit(any(result[name]["ratio_of_medians"] < BAR - NOISE for name in steps))


def keep_memory() -> None:
    """Make the GNU C library keep freed memory in the process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)


def in_turn(sides: dict[str, Callable[[], None]], repeats: int) -> dict[str, Any]:
    """Time steps of both sides, each first in every other round."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    work: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repeats + 2):
        order = list(sides.items())
        for side, step in order if turn % 2 else reversed(order):
            start, begun = time.perf_counter(), time.process_time()
            step()
            if turn > 1:  # the first two warm up
                seconds[side].append(time.perf_counter() - start)
                work[side].append(time.process_time() - begun)
    middle = {side: statistics.median(values) for side, values in seconds.items()}
    least = {side: min(values) for side, values in work.items()}
    return {
        "median_seconds": {side: round(value, 4) for side, value in middle.items()},
        "ratio_of_medians": round(middle["lightly"] / middle["magkit"], 3),
        # Seconds of all threads together, which other work on the machine hardly changes.
        "ratio_of_processor_mins": round(least["lightly"] / least["magkit"], 3),
    }


def encoder() -> nn.Module:
    """Build the encoder: frames to both branches' maps (N, 64, 24, 24)."""
    import torch

    from magkit.magnify.fast import MagnetFast
    from magkit.magnify.fast_spec import FastConfig

    torch.manual_seed(0)
    return MagnetFast(FastConfig()).encoder.layers


def random_view(count: int) -> View:
    """Make views of noise, of random crops of pictures of 192 pixels."""
    import torch

    from magkit.protocols import View

    sides = (0.45 + 0.55 * torch.rand(count, 2)) * 192
    low = torch.rand(count, 2) * (192 - sides)
    boxes_N4 = torch.cat([low, low + sides], 1)
    return View(torch.rand(count, 3, SIZE, SIZE), boxes_N4, torch.rand(count) < 0.5)


def optimizer(*modules: Any) -> torch.optim.Optimizer:
    """Make the optimiser of both sides."""
    import torch

    return torch.optim.AdamW([p for module in modules for p in module.parameters()], 1e-3)


def ours(name: str, more: dict[str, Any], views: list[View]) -> Callable[[], None]:
    """Return a step by magkit's method."""
    import torch

    from magkit.plugins import registry
    from magkit.selfsup.model import LazyMaps
    from magkit.specs import MapInfo

    spec = registry().method(name)
    fast = encoder()
    keys = copy.deepcopy(fast).requires_grad_(False)
    method: Any = spec.build(
        spec.config(**OPTIONS, tau=TAU, **more), MapInfo(channels=CHANNELS, stride=4, centre=2)
    )
    optimiser = optimizer(fast, method)

    @torch.no_grad()
    def key_map(view: View) -> Tensor:
        found: Tensor = keys(view.images_NCHW)
        return found

    def step() -> None:
        method.before_keys(fast, keys, 0.5)
        queries = LazyMaps(lambda view: fast(view.images_NCHW), views)
        terms = method.loss(views, queries, LazyMaps(key_map, views))
        optimiser.zero_grad()
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        optimiser.step()
        method.after_step(fast, keys, 0.5)

    return step


def their_moco(views: list[View]) -> Callable[[], None]:
    """Return a step of MoCo by lightly's head, loss with memory bank, and momentum update."""
    import torch
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import MoCoProjectionHead
    from lightly.models.utils import update_momentum

    fast, head = encoder(), MoCoProjectionHead(CHANNELS, *OPTIONS.values())
    slow, slow_head = copy.deepcopy(fast), copy.deepcopy(head)
    criterion = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, OPTIONS["dim"]))
    optimiser = optimizer(fast, head)

    def step() -> None:
        update_momentum(fast, slow, TAU)
        update_momentum(head, slow_head, TAU)
        query = head(fast(views[0].images_NCHW).mean((2, 3)))
        with torch.no_grad():
            key = slow_head(slow(views[1].images_NCHW).mean((2, 3)))
        loss = criterion(query, key)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    for module in (slow, slow_head):
        module.requires_grad_(False)
    return step


def their_byol(views: list[View]) -> Callable[[], None]:
    """Return a step of BYOL by lightly's heads, loss and momentum update."""
    import torch
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import update_momentum

    hidden, dim = OPTIONS.values()
    fast, head = encoder(), BYOLProjectionHead(CHANNELS, hidden, dim)
    predictor = BYOLPredictionHead(dim, hidden, dim)
    slow, slow_head = copy.deepcopy(fast), copy.deepcopy(head)
    criterion = NegativeCosineSimilarity()
    optimiser = optimizer(fast, head, predictor)

    def step() -> None:
        made = [predictor(head(fast(view.images_NCHW).mean((2, 3)))) for view in views]
        with torch.no_grad():
            wanted = [slow_head(slow(view.images_NCHW).mean((2, 3))) for view in views]
        loss = 2 * (criterion(made[0], wanted[1]) + criterion(made[1], wanted[0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        update_momentum(fast, slow, TAU)
        update_momentum(head, slow_head, TAU)

    for module in (slow, slow_head):
        module.requires_grad_(False)
    return step


def boxes(count: int) -> dict[str, int]:
    """Return pictures per second for which ten matched boxes are drawn."""
    import torch

    from magkit.selfsup.scrl import DRAWS, BoxSampling, match_boxes

    law = BoxSampling(count=10, least=16, max_iou=0.5, whole=False)
    views = [random_view(count) for _ in range(2)]
    seconds, work = [], []
    for _ in range(20):
        start, begun = time.perf_counter(), time.process_time()
        match_boxes(views, torch.rand(count, 100, 2, DRAWS), law)
        seconds.append(time.perf_counter() - start)
        work.append(time.process_time() - begun)
    return {
        "images_a_second": round(count / statistics.median(seconds)),
        "images_a_processor_second": round(count / statistics.median(work)),
    }


if __name__ == "__main__":
    main()
