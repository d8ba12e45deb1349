"""One of the processes of a training; run by `test_densecl_processes.py`.

python densecl_process.py FOLDER RANK WORLD
"""

import copy
import sys
from pathlib import Path
from typing import Any

import torch
from magkit_densecl.method import DenseCL
from magkit_densecl.spec import DenseClConfig
from torch import distributed, nn

from magkit import View
from magkit.runtime.distributed import all_reduce, average_gradients, rank, world_size

STEPS, BATCH, SIZE = 3, 6, 16
CONFIG = DenseClConfig(hidden=6, dim=5, queue=16, tau=0.9, grid=3)


def views() -> list[View]:
    """Make a step's views, and return the part of them that is this process'."""
    part = slice(rank() * BATCH // world_size(), (rank() + 1) * BATCH // world_size())
    made = []
    for _ in range(2):
        images = torch.rand(BATCH, 3, SIZE, SIZE, dtype=torch.double)[part]
        made.append(View(images, torch.zeros(len(images), 4), torch.zeros(len(images)).bool()))
    return made


@torch.no_grad()
def descend(parameters: list[nn.Parameter]) -> None:
    """Take a step down the gradients; torch's optimisers take seconds to import."""
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.sub_(parameter.grad, alpha=0.1)


def trained() -> dict[str, Any]:
    """The losses of three steps, the gradients of the last, and the state at the end."""
    torch.manual_seed(0)
    encoder, method = nn.Conv2d(3, 4, 2, 2).double(), DenseCL(CONFIG, 4).double()
    keys = copy.deepcopy(encoder).requires_grad_(False)
    parameters = [*encoder.parameters(), *method.parameters()]
    losses = []
    for step in range(STEPS):
        torch.manual_seed(step)
        pair = views()
        method.before_keys(encoder, keys, step / STEPS)
        maps = [[network(view.images_NCHW) for view in pair] for network in (encoder, keys)]
        loss = sum(method.loss(pair, *maps).values(), torch.zeros(()))
        encoder.zero_grad()
        method.zero_grad()
        torch.autograd.backward(loss)
        average_gradients(parameters)
        descend(parameters)
        method.after_step(encoder, keys, step / STEPS)
        losses.append(float(all_reduce(loss)) / world_size())
    return {
        "losses": losses,
        "gradients": [p.grad for p in parameters],
        "method": method.state_dict(),
        "keys": keys.state_dict(),
    }


def main() -> None:
    folder, number, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if count > 1:
        meeting = (folder / "meeting").as_uri()
        distributed.init_process_group("gloo", meeting, rank=number, world_size=count)
    torch.save(trained(), folder / f"{number}-of-{count}.pt")
    if count > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
