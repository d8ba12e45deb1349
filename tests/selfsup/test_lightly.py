"""The twenty steps of `test_reference.py` by lightly's own modules, where they are right."""

import copy
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from magkit.selfsup.byol import BYOL
from magkit.selfsup.moco import MoCo
from magkit.selfsup.moco_spec import MocoConfig

KNOWN: dict[str, Any] = runpy.run_path(str(Path(__file__).parent / "test_reference.py"))
Training, close, encoder = KNOWN["Training"], KNOWN["close"], KNOWN["encoder"]
tau, views = KNOWN["tau"], KNOWN["views"]
STEPS, CHANNELS, RATE, INERTIA = (KNOWN[k] for k in ("STEPS", "CHANNELS", "RATE", "INERTIA"))
BYOL_ = KNOWN["BYOL_"]


def copied(target: nn.Module, source: nn.Module) -> None:
    with torch.no_grad():
        for new, old in zip(target.parameters(), source.parameters(), strict=True):
            new.copy_(old)


def same_weights(theirs: nn.Module, ours: nn.Module) -> None:
    for new, old in zip(theirs.parameters(), ours.parameters(), strict=True):
        close(new, old.detach().numpy())


def test_moco_by_lightly() -> None:
    loss = pytest.importorskip("lightly.loss")
    heads = pytest.importorskip("lightly.models.modules.heads")
    update = pytest.importorskip("lightly.models.utils").update_momentum
    config = MocoConfig(hidden=5, dim=3, queue=8, temperature=0.2, tau=0.9)
    training = Training(lambda: MoCo(config, CHANNELS))
    method = training.method
    assert isinstance(method, MoCo)
    fast, projector = encoder().double(), heads.MoCoProjectionHead(CHANNELS, 5, 3).double()
    copied(fast, training.encoder)
    copied(projector, method.projector)
    slow, slow_projector = copy.deepcopy(fast), copy.deepcopy(projector)
    criterion = loss.NTXentLoss(temperature=0.2, memory_bank_size=(8, 3)).double()
    criterion.memory_bank.bank.copy_(method.queue.vectors)
    optimizer = torch.optim.SGD([*fast.parameters(), *projector.parameters()], RATE, INERTIA)
    for number in range(STEPS):
        pair = views(number)
        with torch.no_grad():
            update(fast, slow, config.tau)
            update(projector, slow_projector, config.tau)
            key = slow_projector(slow(pair[1].images_NCHW).mean((2, 3)))
        term = criterion(projector(fast(pair[0].images_NCHW).mean((2, 3))), key)
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        close(training.step(number, pair), term.item())
    same_weights(fast, training.encoder)
    same_weights(projector, method.projector)
    same_weights(slow, training.keys)
    same_weights(slow_projector, method.key_projector)
    close(criterion.memory_bank.bank, method.queue.vectors.numpy())


def test_byol_by_lightly() -> None:
    loss = pytest.importorskip("lightly.loss")
    heads = pytest.importorskip("lightly.models.modules.heads")
    update = pytest.importorskip("lightly.models.utils").update_momentum
    training = Training(lambda: BYOL(BYOL_, CHANNELS))
    method = training.method
    assert isinstance(method, BYOL)
    projector, predictor = (
        heads.BYOLProjectionHead(CHANNELS, 5, 3),
        heads.BYOLPredictionHead(3, 5, 3),
    )
    for module in (projector, predictor):
        module.layers[3].bias = None  # the paper's code has none
    fast = encoder().double()
    online = nn.Sequential(projector, predictor).double()
    copied(fast, training.encoder)
    copied(online, nn.Sequential(method.projector, method.predictor))
    slow, slow_projector = copy.deepcopy(fast), copy.deepcopy(projector)
    criterion = loss.NegativeCosineSimilarity()
    optimizer = torch.optim.SGD([*fast.parameters(), *online.parameters()], RATE, INERTIA)
    for number in range(STEPS):
        pair = views(number)
        p = [online(fast(view.images_NCHW).mean((2, 3))) for view in pair]
        with torch.no_grad():
            z = [slow_projector(slow(view.images_NCHW).mean((2, 3))) for view in pair]
        term = (2 + 2 * criterion(p[0], z[1])) + (2 + 2 * criterion(p[1], z[0]))
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        update(fast, slow, tau(BYOL_.tau, number))
        update(projector, slow_projector, tau(BYOL_.tau, number))
        close(training.step(number, pair), term.item())
    same_weights(fast, training.encoder)
    same_weights(online, nn.Sequential(method.projector, method.predictor))
    same_weights(slow, training.keys)
    same_weights(slow_projector, method.target_projector)
