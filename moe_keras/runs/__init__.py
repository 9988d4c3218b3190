"""Run folders: train with one command, write down what happens, report and compare.

`train` and the command `moe-keras train` make one; so does a `RunRecorder` in anyone's `fit`.
"""

from moe_keras.runs.assignment import assignment_matrix, even_assignment, parse_assignment
from moe_keras.runs.compare import Comparison, compare_runs
from moe_keras.runs.folder import RunFolder
from moe_keras.runs.observation import Observation
from moe_keras.runs.recorder import RunRecorder
from moe_keras.runs.report import write_report
from moe_keras.runs.settings import Settings
from moe_keras.runs.train import resume, train

__all__ = [
    "Comparison",
    "Observation",
    "RunFolder",
    "RunRecorder",
    "Settings",
    "assignment_matrix",
    "compare_runs",
    "even_assignment",
    "parse_assignment",
    "resume",
    "train",
    "write_report",
]
