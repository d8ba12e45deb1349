"""Records are written as JSON, whole or not at all."""

import json
import math
from pathlib import Path

import pytest

from magkit.runtime.files import write_json


def test_a_record_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "new" / "a.json"
    write_json(file, {"a": 1})
    write_json(file, {"b": [1.5, None]})
    assert json.loads(file.read_text()) == {"b": [1.5, None]}


def test_what_may_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"a": math.nan}, allow_nan=False)
    assert json.loads(file.read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
