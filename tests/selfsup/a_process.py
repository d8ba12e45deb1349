"""One of the processes of a training of each method; run by `test_processes.py`.

python a_process.py FOLDER RANK WORLD
"""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.nn import functional as differentiable

from magkit.protocols import View
from magkit.runtime.distributed import all_reduce, average_gradients, rank, world_size
from magkit.selfsup.byol import BYOL
from magkit.selfsup.byol_spec import ByolConfig
from magkit.selfsup.moco import MoCo
from magkit.selfsup.moco_spec import MocoConfig
from magkit.selfsup.scrl import SCRL
from magkit.selfsup.scrl_spec import ScrlConfig

STEPS, BATCH, SIZE = 3, 6, 16
METHODS: dict[str, Callable[[], Any]] = {
    "moco": lambda: MoCo(MocoConfig(hidden=6, dim=5, queue=16, tau=0.9), 4),
    "byol": lambda: BYOL(ByolConfig(hidden=6, dim=5, tau=0.9), 4),
    "scrl": lambda: SCRL(ScrlConfig(hidden=6, dim=5, tau=0.9, boxes=3, min_size=4), 4),
}


class GlobalNorm(nn.BatchNorm1d):
    """Batch statistics over the rows of all processes, of which one may have none."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        sums = torch.cat([rows.sum(0), rows.square().sum(0), rows.new_tensor([len(rows)])])
        sums = differentiable.all_reduce(sums)  # type: ignore[no-untyped-call]
        width = rows.shape[1]
        mean = sums[:width] / sums[-1]
        variance = sums[width:-1] / sums[-1] - mean.square()
        normal: torch.Tensor = (rows - mean) / (variance + self.eps).sqrt()
        return normal * self.weight + self.bias


def over_all(module: nn.Module) -> None:
    """Let layers that normalise over a batch see the batch of all processes."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d):
            norm = GlobalNorm(child.num_features).to(child.weight.dtype)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm.requires_grad_(child.weight.requires_grad))
        else:
            over_all(child)


def views(step: int) -> list[View]:
    """A step's views, this process's part; in the second step, the last three don't overlap."""
    made = []
    for index in range(2):
        images = torch.rand(BATCH, 3, SIZE, SIZE, dtype=torch.double)
        box = torch.tensor([[0.0, 0.0, SIZE, SIZE]], dtype=torch.double).repeat(BATCH, 1)
        box += torch.rand(BATCH, 1, dtype=torch.double) * 3
        if step == 1 and index == 1:
            box[BATCH // 2 :] += 2 * SIZE
        part = slice(rank() * BATCH // world_size(), (rank() + 1) * BATCH // world_size())
        made.append(View(images[part], box[part], torch.rand(BATCH)[part] < 0.5))
    return made


def trained(make: Callable[[], Any]) -> dict[str, Any]:
    """The losses of three steps, the gradients of the last, and the state at the end."""
    torch.manual_seed(0)
    encoder, method = nn.Conv2d(3, 4, 2, 2).double(), make().double()
    keys = copy.deepcopy(encoder).requires_grad_(False)
    if world_size() > 1:
        over_all(method)
    parameters = [*encoder.parameters(), *method.parameters()]
    optimizer = torch.optim.SGD(parameters, 0.1, 0.9)
    losses = []
    for step in range(STEPS):
        torch.manual_seed(step)
        pair = views(step)
        method.before_keys(encoder, keys, step / STEPS)
        maps = [[network(view.images_NCHW) for view in pair] for network in (encoder, keys)]
        loss = sum(method.loss(pair, *maps).values())
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters)
        optimizer.step()
        method.after_step(encoder, keys, step / STEPS)
        losses.append(float(all_reduce(loss)) / world_size())
    # Running statistics are the trainer's own layers' affair.
    state = {k: v for k, v in method.state_dict().items() if "running" not in k}
    state = {k: v for k, v in state.items() if "num_batches" not in k}
    return {
        "losses": losses,
        "gradients": [p.grad for p in parameters],
        "state": state | {f"encoder.{k}": v for k, v in encoder.state_dict().items()},
        "keys": keys.state_dict(),
    }


def main() -> None:
    folder, number, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if count > 1:
        meeting = (folder / "meeting").as_uri()
        distributed.init_process_group("gloo", meeting, rank=number, world_size=count)
    found = {name: trained(make) for name, make in METHODS.items()}
    torch.save(found, folder / f"{number}-of-{count}.pt")
    if count > 1:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
