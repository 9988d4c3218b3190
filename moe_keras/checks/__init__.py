"""Exercises that look at what an answer does, and say in plain words what is wrong with it.

`exercise.py` is the frame (right, not right yet, not attempted; hints; reference answer; solution
where a lecturer allows it), `progress.py` sums a lab up, `behaviour.py` holds the questions that
can be asked of any gate, expert or mixture, and each lab has a module of its own (`lab01`, ...)
with its exercises.
"""

from moe_keras.checks.exercise import Exercise, WrongAnswer
from moe_keras.checks.progress import exercises_of, summary

__all__ = ["Exercise", "WrongAnswer", "exercises_of", "summary"]
