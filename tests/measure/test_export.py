"""What is written of a measurement, read back by other readers."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from magkit.measure.clip import Measurement, measure_frames
from magkit.measure.export import as_csv, as_npz, as_record, as_sep005, as_universal_file, verdict
from magkit.measure.regions import Region
from tests.measure.textures import Array, clip, sine

RATE, SCALE = 40.0, 0.2  # frames per second, mm per px
REGIONS = [Region(8, 8, 32, 32, "8,8"), Region(48, 40, 32, 32, "b")]


@pytest.fixture(scope="module")
def found() -> Measurement:
    moves = np.stack([sine(90, 0.5, 9), sine(90, 0.2, 20)], 1)
    return measure_frames(clip(moves, noise=0.002), RATE, REGIONS)


def test_csv_has_every_displacement(found: Measurement) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(found, "um", SCALE))))
    assert rows[0] == ["time (s)", "8,8 x (um)", "8,8 y (um)", "b x (um)", "b y (um)"]
    values = np.array(rows[1:], float)
    np.testing.assert_allclose(values[:, 0], np.arange(90) / RATE, rtol=1e-8)
    for index, result in enumerate(found.regions):
        expected = result.track.displacement * 200
        np.testing.assert_allclose(values[:, 1 + 2 * index : 3 + 2 * index], expected, rtol=1e-6)


def read_58(text: str) -> list[tuple[dict[str, float], Array]]:
    """A reader by the format's description, columns and all (SDRC dataset 58)."""
    lines, found = text.splitlines(), []
    assert all(len(line) <= 80 for line in lines)
    starts = [n for n, line in enumerate(lines) if line.strip() == "58"]
    for start in starts:
        assert lines[start - 1].rstrip() == "    -1"
        head = lines[start + 6]
        facts = {
            "kind": int(head[:5]),
            "node": int(head[42:52]),
            "direction": int(head[52:56]),
            "type": int(lines[start + 7][:10]),
            "count": int(lines[start + 7][10:20]),
            "even": int(lines[start + 7][20:30]),
            "first": float(lines[start + 7][30:43]),
            "step": float(lines[start + 7][43:56]),
            "abscissa": int(lines[start + 8][:10]),
            "ordinate": int(lines[start + 9][:10]),
        }
        values: list[float] = []
        for line in lines[start + 12 :]:
            if line.rstrip() == "    -1":
                break
            values += [
                float(line[n : n + 20]) for n in range(0, 80, 20) if line[n : n + 20].strip()
            ]
        found.append((facts, np.array(values)))
    return found


def test_universal_files_are_read_back(found: Measurement) -> None:
    sets = read_58(as_universal_file(found, "mm", SCALE))
    assert [(f["node"], f["direction"]) for f, _ in sets] == [(1, 1), (1, -2), (2, 1), (2, -2)]
    for index, (facts, values) in enumerate(sets):
        assert facts["kind"] == 1  # time response
        assert facts["type"] == 4  # real, double precision
        assert (facts["abscissa"], facts["ordinate"]) == (17, 8)  # time, displacement
        assert (facts["count"], facts["even"], facts["first"]) == (90, 1, 0)
        assert facts["step"] == pytest.approx(1 / RATE, rel=1e-5)
        expected = found.regions[index // 2].track.displacement[:, index % 2] * SCALE
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_pyuff_reads_universal_files(found: Measurement, tmp_path: Path) -> None:
    pyuff = pytest.importorskip("pyuff")
    path = tmp_path / "clip.uff"
    path.write_text(as_universal_file(found, "mm", SCALE), newline="\n")
    sets = pyuff.UFF(str(path)).read_sets()
    np.testing.assert_allclose(
        sets[0]["data"], found.regions[0].track.displacement[:, 0] * SCALE, rtol=1e-6
    )


def test_npz_holds_everything(found: Measurement) -> None:
    record = as_record(found)
    arrays = np.load(io.BytesIO(as_npz(found, record)), allow_pickle=False)
    assert arrays["displacement"].shape == (2, 90, 2)
    bins = len(arrays["frequencies"])
    for name in ("spectrum", "floor", "limit"):
        assert arrays[name].shape == (2, 2, bins)
    np.testing.assert_array_equal(arrays["displacement"][1], found.regions[1].track.displacement)
    assert json.loads(str(arrays["record"]))["frames"] == 90


def test_sep005_records(found: Measurement) -> None:
    records = as_sep005(found, "um", SCALE)
    assert [r["name"] for r in records] == ["8,8 x", "8,8 y", "b x", "b y"]
    assert {r["fs"] for r in records} == {RATE}
    assert {r["unit_str"] for r in records} == {"um"}
    np.testing.assert_allclose(records[3]["data"], found.regions[1].track.displacement[:, 1] * 200)


def test_the_record_has_amplitudes_in_the_unit(found: Measurement) -> None:
    record = as_record(found, "mm/s", SCALE, "rms")
    [x, y] = record["regions"][0]["tones"][:2]
    assert (x["direction"], y["direction"]) == ("x", "y")
    assert x["amplitude"] == pytest.approx(0.5 * SCALE * 2 * np.pi * 4 / np.sqrt(2), rel=0.01)
    assert x["amplitude_px"] == pytest.approx(0.5, rel=0.01)
    assert record["regions"][0]["verdict"] == verdict(found.regions[0])
    json.dumps(record, allow_nan=False)
