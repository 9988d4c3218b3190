"""Which tests of an assignment cannot be judged apart from the notebook, kept in a file."""

import json

LEFT_OUT = "left-out.json"


def left_out(course):
    """Grade ids of the tests that cannot be judged apart, as they were found out for a course."""
    path = course / LEFT_OUT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
