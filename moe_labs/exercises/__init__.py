"""Exercises that look at what an answer does, and say in plain words what is wrong with it.

An exercise is one declaration (`exercise.py`): its solution, random cases, the likely mistakes,
hints and marks. A check runs an answer on the cases (`agreement.py`), in the ways in which the lab
calls it (`ways.py`), and compares what comes back (`forms.py`) with what the solution gives.
`behaviour.py` has properties that cases cannot show; `progress.py` sums a lab up; `guesses.py`
keeps what a student expects. Each lab has a module of its own (`lab01`, ...) with its exercises.
"""

from moe_labs.exercises.exercise import Exercise, exercise
from moe_labs.exercises.guesses import Guesses
from moe_labs.exercises.progress import exercises_of, summary
from moe_labs.exercises.wrong_answer import WrongAnswer

__all__ = ["Exercise", "Guesses", "WrongAnswer", "exercise", "exercises_of", "summary"]
