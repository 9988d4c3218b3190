"""Check a release: `python tools/check_release.py v0.2.0` names what does not fit the tag."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {
    "moe_keras/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "CHANGELOG.md": r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$",  # the first one is the newest
}


def problems(tag, root=ROOT):
    """List of sentences, empty if the tag, the files and the changelog's newest heading agree."""
    found = []
    for name, pattern in PLACES.items():
        text = (root / name).read_text("utf-8")
        match = re.search(pattern, text, re.MULTILINE)
        if match is None or f"v{match[1]}" != tag:
            found.append(
                f"{name}: expected version {tag.removeprefix('v')}. "
                f"Received: {match[1] if match else 'none'}"
            )
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if unreleased is None or unreleased[1].strip():
        found.append("CHANGELOG.md: expected an empty heading [Unreleased] at the top")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems(*sys.argv[1:])))
