"""What the documents say of settings is what they are."""

import re
from pathlib import Path

from magkit.invert.settings import InvertSettings
from magkit.options import option_rows

DOCS = Path(__file__).parents[2] / "docs" / "inversion.md"


def test_every_setting_is_listed() -> None:
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| setting | default |") :].split("\n\n")[0]
    found = re.findall(r"^\| `.*$", table, re.MULTILINE)
    expected = [f"| `{r.key}` | {r.default} | {r.help} |" for r in option_rows(InvertSettings)]
    assert found == expected, "\n".join(expected)
