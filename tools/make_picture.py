"""Take the README's picture from the executed lab: ``python tools/make_picture.py``."""

import base64
import re
from pathlib import Path

import nbformat

from moe_common.files import replacing

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "routing.png"
LAB, CELL = "05_sparse_mixture", re.compile(r"^experts_asked\(TOP_K\)$", re.MULTILINE)


def picture():
    """The figure, as it lies in the solved notebook: bytes of a PNG.

    Raises:
        ValueError: if the lab no longer draws it.
    """
    path = ROOT / "notebooks" / "solutions" / f"{LAB}.ipynb"
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if CELL.search(cell.source) and "image/png" in output.get("data", {}):
                return base64.b64decode(output.data["image/png"])
    raise ValueError(
        f"Expected a cell with the line {CELL.pattern} and a figure. Received: none in {path}"
    )


if __name__ == "__main__":
    with replacing(PICTURE) as temporary:
        temporary.write_bytes(picture())
