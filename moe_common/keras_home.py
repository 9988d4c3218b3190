"""Where Keras keeps what it downloads."""

import os
import tempfile
from pathlib import Path


def keras_home():
    """Keras's own folder: $KERAS_HOME, else ~/.keras; a temporary one if Keras cannot write there.

    Keras looks for what it has downloaded where it can write: a read-only folder holds nothing for
    it.
    """
    chosen = os.environ.get("KERAS_HOME")
    if chosen is None:
        home = os.path.expanduser("~")  # stays "~", which is no folder, for a user without a home
        chosen = os.path.join(home, ".keras") if os.access(home, os.W_OK) else ""
    folder = Path(os.path.expanduser(chosen))
    if chosen and os.access(_nearest(folder), os.W_OK):
        return folder
    return Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"


def _nearest(folder):
    """The folder, or the one above in which Keras would make it when it is imported."""
    return next((path for path in (folder, *folder.parents) if os.path.exists(path)), folder)
