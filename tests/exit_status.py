"""How a command ended, for tests of commands."""

import pytest


def exit_status(main, *arguments):
    """The exit status of a command's `main` with these arguments."""
    with pytest.raises(SystemExit) as exit:
        main(list(arguments))
    return exit.value.code or 0
