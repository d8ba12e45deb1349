"""Text files as editors save them: with byte order marks, in UTF-16, in some other encoding."""

from pathlib import Path

import pytest

from magkit.errors import UsageError
from magkit.runtime.text import MAX_TEXT_BYTES, decode_text, read_toml

TEXT = '# é\r\nname = "Kühe €"\r\nlr = 0.1\r\n'
VALUES = {"name": "Kühe €", "lr": 0.1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_editors_save(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(TEXT.encode(encoding))
    assert read_toml(path) == VALUES
    assert decode_text(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("order", ["le", "be"])
def test_both_orders_of_bytes(order: str, tmp_path: Path) -> None:
    for encoding in (f"utf-16-{order}", f"utf-32-{order}"):
        path = tmp_path / "a.toml"
        path.write_bytes(("\ufeff" + TEXT).encode(encoding))
        assert read_toml(path) == VALUES


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'a = 1\nb = "caf\xe9"\n', 2),
        (b'\xef\xbb\xbfa = 1\nb = 2\nc = "\xff"\n', 3),
        ("a = 1\nb = 2\n".encode("utf-16-le"), 1),
        (b"\xff\xfea\0 ", 1),
    ],
    ids=["latin-1", "broken after a mark", "utf-16 without a mark", "cut off"],
)
def test_what_is_no_text_is_told_with_its_line(content: bytes, line: int, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"a\.toml' is not TOML: line {line} ") as caught:
        read_toml(path)
    assert "UTF-8" in caught.value.message


def test_wrong_syntax_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = 1\nb = \n", encoding="utf-16")
    with pytest.raises(UsageError, match="line 2"):
        read_toml(path)


def test_no_file_is_read_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"#" * (MAX_TEXT_BYTES + 1))
    with pytest.raises(UsageError, match="too large"):
        read_toml(path)


def test_what_can_not_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml", tmp_path / ("n" * 300)):
        with pytest.raises(UsageError, match="can't be read"):
            read_toml(path)
