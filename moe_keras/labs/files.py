"""Files that are there whole or not at all."""

import os
import secrets
from pathlib import Path


def write_text(path, text):
    """Write a text file by way of a temporary one in the same folder, which is made if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
