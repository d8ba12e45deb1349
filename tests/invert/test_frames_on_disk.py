"""What lies in a clip's folder: frames to the bit, records, states, the sidecar."""

import json
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import OutputFolder, read_image, save_image, to_image
from magkit.invert.optimize import OptimState
from magkit.invert.priors import MEAN, STD
from magkit.video.folder import open_folder, write_sidecar
from magkit.video.info import VideoInfo


def test_a_frame_is_read_as_it_is_shown(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "bear")
    x = torch.randn(3, 40, 52, generator=torch.Generator().manual_seed(0)) * 2
    folder.write("00007", x, {"steps": 3})
    with Image.open(tmp_path / "bear/frames/00007.png") as image:
        assert (image.mode, image.size) == ("RGB", (52, 40))
        pixels = np.asarray(image)
    mean, std = (np.array(v)[:, None, None] for v in (MEAN, STD))
    expected = np.clip(x.double().numpy() * std + mean, 0, 1)
    assert np.abs(pixels.transpose(2, 0, 1) / 255 - expected).max() <= 0.5 / 255 + 1e-6
    back = folder.read("00007")
    assert np.allclose(back, (pixels.transpose(2, 0, 1) / 255 - mean) / std, atol=1e-5)
    folder.write("00008", back, {})
    assert folder.frame("00008").read_bytes() == folder.frame("00007").read_bytes()


def test_a_frame_is_all_there_is_when_it_is_finished(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert not folder.has("a")
    folder.save_state("a", OptimState(torch.zeros(1, 3, 8, 8)))
    assert folder.state("a").is_file()
    assert not folder.has("a"), "a state is no frame"
    for number in (1, 2):
        folder.write("a", torch.zeros(3, 8, 8), {"steps": number})
    assert folder.has("a")
    assert folder.read_record("a") == {"steps": 2}
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")) == [
        "frames/a.png",
        "records/a.json",
    ]


def test_a_state_is_read_as_it_was_kept(tmp_path: Path) -> None:
    folder, x = OutputFolder(tmp_path), torch.randn(2, 3, 8, 8).requires_grad_()
    adam = torch.optim.Adam([x], 0.1)
    (x.grad,) = torch.autograd.grad(x.square().sum(), x)
    adam.step()
    position = OptimState(x.detach(), 1, 4, 9, adam.state_dict(), [3.0, 2.5])
    folder.save_state("00001", position)
    found = folder.load_state("00001")
    assert found is not None
    assert torch.equal(found.x_N3HW, position.x_N3HW)
    assert (found.stage, found.step, found.done, found.losses) == (1, 4, 9, [3.0, 2.5])
    moments = [each["state"][0]["exp_avg"] for each in (found.optimizer, position.optimizer)]  # type: ignore[index]
    assert torch.equal(*moments)


def test_a_state_that_is_none(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert folder.load_state("a") is None
    folder.state("a").write_bytes(b"PK\x03\x04 cut")
    assert folder.load_state("a") is None
    torch.save([1, 2], folder.state("a"))
    assert folder.load_state("a") is None
    torch.save({"x_N3HW": torch.zeros(1), "colour": "red"}, folder.state("a"))
    assert folder.load_state("a") is None


def test_what_is_told_may_be_lost(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert folder.read_record("a") == {}
    folder.record("a").parent.mkdir()
    for text in ("{", "[1]", "3", ""):
        folder.record("a").write_text(text)
        assert folder.read_record("a") == {}


def test_the_sidecar_is_what_other_commands_read(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "bear")
    folder.write_sidecar((40, 52), Fraction(30000, 1001))
    folder.write("00000", torch.zeros(3, 40, 52), {})
    info, _ = open_folder(tmp_path / "bear" / "frames")
    assert (info.width, info.height, info.rate) == (52, 40, Fraction(30000, 1001))
    folder.write_sidecar((40, 52), Fraction(5))
    assert open_folder(tmp_path / "bear" / "frames")[0].rate == Fraction(30000, 1001)


def test_processes_that_write_the_sidecar_at_once_do_not_hinder_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = Barrier(8)

    def write(folder: Path, info: VideoInfo) -> None:
        write_sidecar(folder, info)
        together.wait(60)

    monkeypatch.setattr("magkit.invert.frames_on_disk.write_sidecar", write)
    folder = OutputFolder(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(folder.write_sidecar, [(40, 52)] * 8))
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]
    record = json.loads((tmp_path / "frames" / "magkit.json").read_text())
    assert (record["height"], record["width"]) == (40, 52)


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "00003.png"
    with pytest.raises(MagkitError, match=r"00003\.png can't be read"):
        read_image(path)
    path.write_bytes(b"no picture")
    with pytest.raises(MagkitError, match=r"00003\.png is not a picture"):
        read_image(path)
    save_image(path, torch.rand(3, 40, 40))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(MagkitError, match=r"00003\.png is damaged"):
        read_image(path)


@given(st.floats(-1e6, 1e6, width=32))
def test_shown_stays_within_the_range_of_pictures(value: float) -> None:
    found = to_image(torch.full((3, 2, 2), value))
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
