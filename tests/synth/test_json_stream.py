"""JSON of every encoding, with NaN and Infinity, block by block."""

import io
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.errors import MagkitError
from magkit.synth.coco_index import parse_items

Coco = Any  # a file in the making: conftest.py
ENCODINGS = [
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"),
    "utf-32-be",
]


class InBits:
    """A file that is read so many bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, bits: int) -> None:
        self.file, self.bits = io.BytesIO(data), bits

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.bits))


def without_literals(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_literals(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_literals(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("bits", [1, 3, 1 << 20])
def test_every_encoding(encoding: str, bits: int) -> None:
    values = [{"name": 'Käse 子猫 😀 \\ " NaN', "width": 1.5}, 3, None]
    data = json.dumps({"images": values}, ensure_ascii=False).encode(encoding)
    assert list(parse_items(InBits(data, bits), "images.item")) == values


TEXTS = st.text(st.sampled_from('NaInfity-"\\ é,:[]{}'), max_size=12)
VALUES = st.recursive(
    TEXTS | st.floats() | st.integers(-5, 5) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4), st.integers(1, 9), st.booleans())
@settings(deadline=None, max_examples=300)
def test_only_numbers_become_null(values: list[Any], bits: int, escaped: bool) -> None:
    """What `json` writes comes back, wherever the blocks end, and texts are left alone."""
    data = json.dumps({"x": values}, ensure_ascii=escaped).encode()
    assert list(parse_items(InBits(data, bits), "x.item")) == without_literals(values)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut off"),
        (b'{"x": [1', "cut off"),
        (b"{'x': []}", "{'x': []}"),
        (b'{"x": [1,]}', "[1,]"),
        (b'{"x": [1] /* no */}', "no"),
        (b'{"x": ["K\xe4se"]}', "UTF-8"),
        (b'\xef\xbb\xbf{"x": ["K\xe4se"]}', "damaged"),
        ('{"x": ["Käse"]}'.encode("utf-16")[:-1], "damaged"),
        (b'{"x": [1e999]}', "1e999"),
        (b"\x1f\x8b\x08\x00 no text", "JSON"),
        (b'{"x": [' + b"N" * (3 << 20), "JSON"),
    ],
)
def test_what_is_no_json_is_told_plainly(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"it is|its text") as refused:
        list(parse_items(io.BytesIO(data), "x.item"))
    assert said in str(refused.value)
    assert "lexical" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_coco_files_of_every_encoding(one: Coco, encoding: str) -> None:
    one.box(1, 25, 30, 60, 54, area=math.nan, score=-math.inf)
    path = one.write()
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert len(one.reopened()) == 2


def test_a_damaged_coco_file_is_told_by_name(one: Coco) -> None:
    path = one.write()
    path.write_text("{'images': []}")
    with pytest.raises(MagkitError, match=r"instances\.json .*not valid JSON") as refused:
        one.reopened()
    assert "lexical" not in refused.value.message
