"""Run folders: train with one command, record, report and compare.

`train` and the command `moe-keras train` make one; so does a `RunRecorder` in anyone's `fit`.
"""

from moe_keras.runs.assignment import assignment_matrix
from moe_keras.runs.compare import compare_runs
from moe_keras.runs.recorder import RunRecorder
from moe_keras.runs.settings import Settings
from moe_keras.runs.train import resume, train

__all__ = [
    "RunRecorder",
    "Settings",
    "assignment_matrix",
    "compare_runs",
    "resume",
    "train",
]
