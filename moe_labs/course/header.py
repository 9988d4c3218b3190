"""What a lab says about itself in the header of its source."""

import jupytext


def header(lab):
    """The key `moe_keras` of a lab's jupytext header, a dictionary."""
    return jupytext.read(lab.source, fmt="py:percent").metadata["moe_keras"]
