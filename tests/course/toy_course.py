"""A small course, whose one lab starts without TensorFlow and is graded in seconds."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

LAB = "toy"
SETUP = """import sys, types, pathlib
import numpy as np
# The checks alone, without the rest of moe_keras: Keras takes seconds to start.
spec = __import__("importlib.util").util.find_spec("nbgrader")
"""


def exercise(name, stub, solution, check):
    """The two cells of an exercise worth two marks."""
