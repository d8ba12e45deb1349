"""Compare the time per frame of `magnet-fast` and `magnet` in one process.

    python benchmarks/speed.py
    python benchmarks/speed.py --threads 2 --repeats 9

The two alternate, so that other load affects both. They are timed in static mode, with the
reference's features computed before (encode, motion, render), and with both frames encoded. Weights
are random, which does not change the time. Exit code 1 below a bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

# (height, width): how many times as fast, at least, with the reference cached.
BARS = {(384, 384): 8.0, (720, 1280): 12.0}
NAMES = ("magnet-fast", "magnet")


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    results = [compared(*size, options.repeats) for size in BARS]
    print(json.dumps({"threads": options.threads, "repeats": options.repeats, "sizes": results}))
    slow = [row for row in results if row["static"]["ratio_of_medians"] < row["bar"]]
    raise SystemExit(bool(slow))


def compared(height: int, width: int, repeats: int) -> dict[str, Any]:
    """Time both networks at a size."""
    ways = {name: passes(name, height, width) for name in NAMES}
    row: dict[str, Any] = {"size": f"{width}x{height}", "bar": BARS[height, width]}
    for way in ("static", "both_encoded"):
        seconds: dict[str, list[float]] = {name: [] for name in NAMES}
        work: dict[str, list[float]] = {name: [] for name in NAMES}
        for turn in range(repeats + 1):
            for name in NAMES:
                start, begun = time.perf_counter(), time.process_time()
                ways[name][way]()
                if turn:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
                    work[name].append(time.process_time() - begun)
        least = {name: min(values) for name, values in seconds.items()}
        middle = {name: statistics.median(values) for name, values in seconds.items()}
        fast, slow = NAMES
        row[way] = {
            "min_seconds": {name: round(value, 4) for name, value in least.items()},
            "median_seconds": {name: round(value, 4) for name, value in middle.items()},
            "ratio_of_mins": round(least[slow] / least[fast], 2),
            "ratio_of_medians": round(middle[slow] / middle[fast], 2),
            # Seconds of all threads together, which other work on the machine hardly changes.
            "min_processor_seconds": {name: round(min(work[name]), 4) for name in NAMES},
            "ratio_of_processor_mins": round(min(work[slow]) / min(work[fast]), 2),
        }
    return row


def passes(name: str, height: int, width: int) -> dict[str, Callable[[], Any]]:
    """Return functions that process one frame of a clip, by name."""
    import numpy as np
    import torch

    from magkit.magnify.pipeline import to_frame, to_tensor
    from magkit.plugins import registry
    from magkit.runtime.device import Precision, autocast

    torch.manual_seed(0)
    spec = registry().magnifier(name)
    network = spec.build(spec.config())
    assert isinstance(network, torch.nn.Module)
    network.to(memory_format=torch.channels_last).eval()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    factor = torch.tensor([10.0])

    # As in `magkit magnify`.
    precision: Precision = "auto" if name == "magnet-fast" else "full"

    def encode(index: int) -> Any:
        return network.encode(to_tensor(frames[index], network.stride))

    def shown(both: bool) -> Any:
        with torch.inference_mode(), autocast(torch.device("cpu"), precision):
            reference, current = encode(0) if both else first, encode(1)
            made = network.render(current, network.motion(reference, current), factor)
            return to_frame(made, (height, width))

    with torch.inference_mode(), autocast(torch.device("cpu"), precision):
        first = encode(0)
    return {"static": partial(shown, False), "both_encoded": partial(shown, True)}


if __name__ == "__main__":
    main()
