"""Where Keras keeps what it downloads."""

import os
import tempfile
from pathlib import Path


def keras_home():
    """Keras's own folder: $KERAS_HOME, else ~/.keras, else a temporary one as Keras takes it."""
    chosen = os.environ.get("KERAS_HOME")
    if chosen:
        return Path(os.path.expanduser(chosen))
    home = os.path.expanduser("~")
    if home == "~":  # this user has no home
        home = "/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()
    return Path(home) / ".keras"
