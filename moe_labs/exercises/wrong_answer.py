"""What a check raises."""


class WrongAnswer(Exception):
    """Raised by a check that found a mistake; the message tells the student what it is."""
