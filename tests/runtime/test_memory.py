"""Freed memory goes back to the system."""

import sys
from pathlib import Path

import pytest
import torch

from magkit.runtime.device import trim_memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_it_may_be_called_anywhere() -> None:
    trim_memory()
    trim_memory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells by /proc")
def test_holes_between_what_stays_are_given_back() -> None:
    # Once a block of 30 MB was freed, the GNU C library keeps freed blocks up to that size.
    del (blocks := [torch.ones(30 << 18)])[:]
    stays = []
    for _ in range(300):
        blocks.append(torch.ones(1 << 18))
        stays.append(torch.ones(64))
    full = resident()
    blocks.clear()
    trim_memory()
    assert resident() < full - 200e6
    assert len(stays) == 300
