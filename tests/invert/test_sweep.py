"""Several values of a setting, and tables of settings by video and frame."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.invert.settings import MAX_VALUES, parse_sweep, read_tables, setting_names


def test_values_of_settings() -> None:
    assert parse_sweep([]) == {}
    assert parse_sweep(["bn=0.1, 1,10", " var-l1 =0"]) == {
        "bn": ["0.1", "1", "10"],
        "var_l1": ["0"],
    }


@pytest.mark.parametrize("text", ["bn=", "bn=1,,2", "bn=1,", "bn=1,1", "bn= , "])
def test_what_is_no_sweep(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form KEY=A,B") as refused:
        parse_sweep([text])
    assert refused.value.hint == "such as bn=0.1,1,10"


def test_a_setting_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="there is no setting 'iteration'") as refused:
        parse_sweep(["iteration=1,2"])
    assert "did you mean 'iterations'?" in refused.value.hint
    for text in ("=1", "bn"):
        with pytest.raises(UsageError, match="is not of the form KEY=VALUE"):
            parse_sweep([text])


def test_too_many_values() -> None:
    most = ",".join(map(str, range(MAX_VALUES)))
    assert len(parse_sweep([f"seed={most}"])["seed"]) == MAX_VALUES
    with pytest.raises(UsageError, match=f"over {MAX_VALUES + 1} values"):
        parse_sweep([f"seed={most},-1"])


@given(st.sampled_from(setting_names()), st.text(max_size=20))
def test_any_text_is_a_sweep_or_refused(key: str, values: str) -> None:
    try:
        found = parse_sweep([f"{key}={values}"])
    except UsageError:
        return
    assert list(found) == [key]
    assert found[key] == [value.strip() for value in values.split(",")]
    assert all(found[key])


def test_tables_by_video_and_frame(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[bear]\nbn = 0.5\n[bear.frames."10-19"]\nvar_l1 = 0.1\n[cows]\n')
    assert read_tables(path) == {
        "bear": {"bn": 0.5, "frames": {"10-19": {"var_l1": 0.1}}},
        "cows": {},
    }
    path.write_text("")
    assert read_tables(path) == {}


@pytest.mark.parametrize("text", ["bear = 1", "[bear]\nframes = 3", "[bear.frames]\n5 = 1"])
def test_tables_of_another_shape(text: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="'bear' is no table of settings") as refused:
        read_tables(path)
    assert "[bear]" in refused.value.hint


@pytest.mark.parametrize(
    "content", [b"[bear", b"\xff\xfea", b"a = 1\na = 2", b"\x00", b"a = " + b"[" * 200_000]
)
def test_what_is_not_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"settings\.toml' is "):
        read_tables(path)
