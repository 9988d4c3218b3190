import os
from unittest import mock

import pytest

# Two answers, one of code and one of text, a hidden test, and a line that is open to students.
SOURCE = '''\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   moe_keras:
#     minutes: 5
#     outcomes: add two numbers; say why
#     serves:
#       - [add]
#       - [why]
#     variant:
#       numbers:
#         - ["SEED = 0", 1 and 2 make 3]
#         - ["SEED = 7", 2 and 2 make 4]
#         - ["SEED = 8", 3 and 2 make 5]
#       order: ["first to second", "second to first"]
# ---

# %% [markdown]
# # Lab 01: sums and more
#
# From first to second. 1 and 2 make 3.

# %%
SEED = 0
unit = [1, 2, 3]  # open to students

# %% nbgrader={"grade": false, "grade_id": "add", "locked": false, "schema_version": 3, "solution": true, "task": false}
def add(a, b):
    """The sum."""
    ### BEGIN SOLUTION
    total_of_both = a + b
    return total_of_both
    unit = [1, 2, 3]  # open to students
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-add", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
add = lab01.add.check(add)
### BEGIN HIDDEN TESTS
assert add(-10, 10) == 0
### END HIDDEN TESTS

# %% [markdown] nbgrader={"grade": true, "grade_id": "why", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# Because one and one are two, and so on.
'''  # noqa: E501


@pytest.fixture
def source():
    return SOURCE


@pytest.fixture(autouse=True)
def environment_kept():
    """nbgrader changes the PATH of the process that converts."""
    with mock.patch.dict(os.environ):
        yield
