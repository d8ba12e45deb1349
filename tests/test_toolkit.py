"""The building blocks that plugins import."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit import UsageError, toolkit
from magkit.toolkit import enqueue, mlp, momentum_copy, normalized, update_momentum

ROOT = Path(__file__).parents[1]


def loaded(code: str) -> str:
    """The heavy packages that some code loads."""
    code += "\nimport sys; print(*{'torch', 'numpy', 'safetensors'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_it_imports_nothing_heavy() -> None:
    assert loaded("import magkit.toolkit") == ""


def test_settings_of_presets_import_nothing_heavy() -> None:
    code = (
        "import sys; from magkit.toolkit import CPU_PRESET_SETTINGS; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_all_names_are_there_and_documented() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    section = text.partition("## The toolkit")[2].partition("\n## ")[0]
    rows = "\n".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)", rows)) == set(toolkit.__all__)
    assert sorted(toolkit.__all__) == dir(toolkit)
    for name in toolkit.__all__:
        value = getattr(toolkit, name)
        assert value.__doc__
    with pytest.raises(AttributeError, match=r"'magkit\.toolkit' has no attribute 'gone'"):
        getattr(toolkit, "gone")  # noqa: B009


def test_normalized_vectors_of_any_shape() -> None:
    vectors = torch.randn(2, 3, 5).half()
    found = normalized(vectors)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 3))
    assert torch.equal(found[0], normalized(vectors[0]))


def test_a_momentum_copy_follows() -> None:
    network: Any = mlp(3, 4, 2, norm=False)
    average: Any = momentum_copy(network)
    assert not any(p.requires_grad for p in average.parameters())
    with torch.no_grad():
        network[0].weight.add_(1)
    update_momentum(average, network, 0.75)
    torch.testing.assert_close(average[0].weight + 0.75, network[0].weight)


def test_a_ring_of_keys() -> None:
    queue, position = torch.zeros(4, 1), torch.tensor(3)
    enqueue(queue, position, torch.tensor([[1.0], [2.0]]))
    assert (queue[:, 0].tolist(), int(position)) == ([2.0, 0.0, 0.0, 1.0], 1)
    with pytest.raises(UsageError, match="5 keys don't fit a queue of 4"):
        enqueue(queue, position, torch.zeros(5, 1))
