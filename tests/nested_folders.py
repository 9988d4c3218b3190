"""Folders in each other, deeper than a path can say."""

import os


def nest(folder, name, depth):
    """Make folders in each other, however long the path gets; a descriptor of the last."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    return here
