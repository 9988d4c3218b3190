"""The gradebook, opened so that nbgrader finds its programs, and one in use is told as such."""

import contextlib
import warnings

from nbgrader.api import Gradebook
from sqlalchemy.exc import OperationalError

from moe_labs.course.handed_in import one_line
from moe_labs.course.sandbox import programs_on_path


class Locked(RuntimeError):
    """The gradebook cannot be used just now."""


@contextlib.contextmanager
def telling():
    """Raise `Locked` where somebody else is writing to the gradebook."""
    try:
        yield
    except OperationalError as error:
        raise Locked(
            "Expected a gradebook that can be written to. Received: "
            f"{one_line(getattr(error, 'orig', error), 100)} (close what else uses it, such as "
            "Formgrader or another grading, then grade again)"
        ) from error


@contextlib.contextmanager
def open_gradebook(url):
    """nbgrader's `Gradebook`.

    Raises:
        Locked: if it cannot be used just now.
    """
    with telling(), programs_on_path(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="nbgrader")  # on how it uses its database
        with Gradebook(url) as gradebook:
            yield gradebook
