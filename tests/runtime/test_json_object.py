"""JSON that anybody may have written: an object, or one sentence that names it."""

from pathlib import Path

import pytest

from magkit.errors import MagkitError
from magkit.runtime import text as module
from magkit.runtime.text import json_object, read_json_object


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_editors_write_several_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes('{"größe": 1.5}'.encode(encoding))
    assert read_json_object(path) == {"größe": 1.5}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xff", b'{"a":' * 100_000, b"{} {}"]
)
def test_what_is_no_object_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(MagkitError, match=r"x\.json is not"):
        read_json_object(path)
    with pytest.raises(MagkitError, match="the header is not") as caught:
        json_object(content, "the header", "look at it")
    assert caught.value.hint == "look at it"


def test_a_file_that_is_missing_a_folder_or_endless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "long").write_text('{"a": 1234567}')
    monkeypatch.setattr(module, "MAX_JSON_BYTES", 8)
    for name in ("absent", "folder", "long"):
        with pytest.raises(MagkitError, match=name):
            read_json_object(tmp_path / name)
