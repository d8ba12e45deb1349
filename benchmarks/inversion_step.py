"""Compare the time of an inversion step in bf16 and in single precision, alternating.

    python benchmarks/inversion_step.py                         # the default target
    python benchmarks/inversion_step.py --target maskrcnn --height 480    # R50-FPN, random weights

On a processor without bf16 instructions bf16 is slower, and the default setting uses single
precision. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from magkit.invert.objective import Objective

BAR = 1.3  # on a processor that multiplies in bf16


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--target", default="maskrcnn-small", choices=["maskrcnn-small", "maskrcnn"]
    )
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()

    import torch

    from magkit.runtime.device import has_fast_bf16

    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    objective, x = problem(given.target, given.height)
    seconds: dict[str, list[float]] = {"full": [], "bf16": []}
    for repeat in range(given.repeats + 1):
        for name, found in seconds.items():
            taken = step(objective, x, half=name == "bf16")
            if repeat:
                found.append(taken)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["full"], seconds["bf16"], strict=True)]
    result = {"target": given.target, "size": list(x.shape[2:]), "seconds": medians, "bar": BAR}
    result["full_over_bf16"] = statistics.median(ratios)
    result["processor_has_bf16"] = has_fast_bf16(torch.device("cpu"))
    print(json.dumps(result))


def problem(name: str, height: int) -> tuple[Objective, torch.Tensor]:
    """Return an objective with random weights and a box for an object, and a picture of noise."""
    import torch

    from magkit.invert.objective import Objective, TargetTerm
    from magkit.invert.settings import make_settings
    from magkit.invert.targets.maskrcnn import MaskRCNNTarget
    from magkit.invert.targets.maskrcnn_networks import build, maskrcnn_small
    from magkit.invert.targets.maskrcnn_spec import MaskRCNNConfig
    from magkit.protocols import Annotation

    size = height, round(height * 854 / 480)
    model = maskrcnn_small(3) if name == "maskrcnn-small" else build(name, 3)
    names, cpu = ["background", "a", "b"], torch.device("cpu")
    target = MaskRCNNTarget(model, names, MaskRCNNConfig(), cpu)
    mask = torch.zeros(size)
    mask[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = 1
    goal = TargetTerm(name, target, target.labels([[Annotation("a", mask)]]), target.statistics())
    return Objective([goal], make_settings("fast")), torch.randn(1, 3, *size)


def step(objective: Objective, start: torch.Tensor, *, half: bool) -> float:
    """Return the seconds of the loss and its gradient."""
    import torch

    from magkit.invert.objective import total_loss

    x = start.clone().requires_grad_()
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = total_loss(objective.terms(x))
        torch.autograd.grad(loss, x)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
