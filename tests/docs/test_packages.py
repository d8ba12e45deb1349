"""The packages and variables of the documents: whoever follows all of them meets no clash."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
READERS = ("magkit/plugins.py", "magkit/cli/__init__.py")
"""Where the variables are read that help with plugins."""

WRITTEN = re.compile(
    r"^<!-- file: ([\w-]+)/pyproject\.toml -->$|^magkit plugins new ([\w-]+)", re.MULTILINE
)


def test_no_two_packages_share_a_name() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    found = Counter("".join(each) for each in WRITTEN.findall(text))
    assert {"magkit-mine", "magkit-twins"} <= found.keys()
    assert set(found.values()) == {1}, found


def test_every_variable_stands_in_the_guide() -> None:
    code = "".join((ROOT / reader).read_text(encoding="utf-8") for reader in READERS)
    variables = set(re.findall(r'"(MAGKIT_[A-Z_]+)"', code))
    assert "MAGKIT_STRICT_PLUGINS" in variables
    assert variables <= set(re.findall(r"^\| `(MAGKIT_[A-Z_]+)=", GUIDE, re.MULTILINE))
