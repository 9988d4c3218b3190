import pytest

# A whole lab in little: a solution, a hidden test, a figure, the two kinds of closing cells.
SOURCE = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   moe_keras:
#     minutes: 5
#     outcomes: add two numbers
# ---

# %% [markdown]
# # Lab 01: sums and more
#
# Some text.

# %%
import os
import sys

# %% [markdown]
# ## Adding

# %% nbgrader={"grade": false, "grade_id": "add", "locked": false, "schema_version": 3, "solution": true, "task": false}
def add(a, b):
    """The sum."""
    ### BEGIN SOLUTION
    return a + b
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "add-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
assert add(1, 2) == 3
### BEGIN HIDDEN TESTS
assert add(-1, 1) == 0
### END HIDDEN TESTS

# %% tags=["figures", "nbval-ignore-output"]
print("data: three digits")
print("accuracy:", 0.5 if os.environ.get("MOE_KERAS_LAB") == "quick" else 0.75)
print("process", os.getpid(), file=sys.stderr)

# %% tags=["verdicts"]
print("noise", os.getpid(), file=sys.stderr)
print("adding works:", add(2, 2) == 4)
'''  # noqa: E501


@pytest.fixture
def source():
    return SOURCE
