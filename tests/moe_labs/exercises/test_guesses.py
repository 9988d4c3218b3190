import pytest

from moe_labs.exercises import Guesses


@pytest.mark.parametrize("made", [None, ...])
def test_no_guess_is_no_mistake(made, capsys):
    guess = Guesses()
    guess["share"] = made
    guess.compare("share", "12 %")
    guess.compare("never asked", 1)
    assert capsys.readouterr().out == (
        "share: it is 12 %. (You made no guess.)\nnever asked: it is 1. (You made no guess.)\n"
    )


@pytest.mark.parametrize("made", [0, 0.5, "both", [1, 2]])
def test_guess_and_outcome_stand_side_by_side(made, capsys):
    guess = Guesses()
    guess["share"] = made
    guess.compare("share", 0.25)
    assert capsys.readouterr().out == f"share: you guessed {made}; it is 0.25.\n"
