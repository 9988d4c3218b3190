"""Where commands start: signals end them at once even while Keras loads, which takes seconds.

What a command is made of is imported under `stops_at_once`.
"""

from moe_common.stopping import stops_at_once


def library():
    """The command ``moe-keras``."""
    with stops_at_once():
        from moe_keras.commands.main import main

        main()


def course():
    """The command ``moe-labs``."""
    with stops_at_once():
        from moe_labs.commands.main import main

        main()
