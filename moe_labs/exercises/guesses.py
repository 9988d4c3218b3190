"""Guesses that a student writes down before the lab shows what comes out."""


class Guesses:
    """What was guessed, kept until the outcome is known. Nothing here is marked.

    Example:

    >>> from moe_labs.exercises import Guesses
    >>> guess = Guesses()
    >>> guess["experts in use"] = 8
    >>> guess["winner"] = None
    >>> guess.compare("experts in use", 3)
    experts in use: you guessed 8; it is 3.
    >>> guess.compare("winner", "dense")
    winner: it is dense. (You made no guess.)
    """

    def __init__(self):
        self._made = {}

    def __setitem__(self, what, value):
        self._made[what] = value

    def compare(self, what, outcome):
        """Print a guess and the outcome side by side.

        Args:
            what: the name under which the guess was made.
            outcome: a number or a text, as it should be shown.
        """
        made = self._made.get(what)
        if made is None or made is Ellipsis:
            print(f"{what}: it is {outcome}. (You made no guess.)")
        else:
            print(f"{what}: you guessed {made}; it is {outcome}.")
