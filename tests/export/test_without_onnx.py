"""What users are told where the packages for ONNX are missing."""

from pathlib import Path

import pytest

from magkit.cli import run
from magkit.export import onnx_file


def test_missing_packages(
    encoder_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda _: None)
    assert run(["export", str(encoder_path), "-o", str(tmp_path / "x.onnx")]) == 1
    shown = capsys.readouterr().err
    assert "needs onnx and onnxscript" in shown
    assert "pip install 'magkit[onnx]'" in shown
