"""Where the images of a flow stand, and what is said about it."""

import numpy as np
import pytest
from matplotlib.patches import PathPatch

from moe_keras import plots

SOURCE = "stand-in for CIFAR-10 (generated images)"
IMAGES = np.arange(3 * 4 * 4 * 3, dtype="uint8").reshape(3, 4, 4, 3)
GATE = (["left", "right"], [[0.9, 0.1], [0.3, 0.7], [0.99, 0.01]])
EXPERTS = (["a", "b", "c"], [[0.0, 0.2, 0.8], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.fixture
def picture():
    return plots.flow(
        IMAGES,
        {"gate": GATE, "expert": EXPERTS},
        ["cat", "dog", "cow"],
        "On the way",
        source=SOURCE,
        answers=["says cat", "says cow", "says cow"],
    )


def places(picture):
    """Of each column, from left to right: which image stands where, from top to bottom."""
    found = {}
    for drawn in picture.figure.axes[0].images:
        left, _, _, top = drawn.get_extent()
        number = next(i for i in range(3) if np.array_equal(drawn.get_array(), IMAGES[i]))
        found.setdefault(left, []).append((top, number))
    return [[number for _, number in sorted(column)] for _, column in sorted(found.items())]


def test_images_stand_in_the_lane_of_their_largest_weight(picture):
    # Gate: images 0 and 2 left (above), 1 right. Expert: a has none, b has 2 and 1, c has 0; image
    # 2 stood above image 1 before, and so it does within b.
    assert places(picture) == [[0, 1, 2], [0, 2, 1], [2, 1, 0]]


def test_bands_are_as_wide_as_the_weights(picture):
    bands = [p for p in picture.figure.axes[0].patches if isinstance(p, PathPatch)]
    widths = [round((band.get_linewidth() - 0.5) / 5, 3) for band in bands]
    # 0.01 is too faint to draw.
    assert sorted(widths) == [0.1, 0.2, 0.3, 0.7, 0.8, 0.9, 0.99, 1.0, 1.0]


def test_it_says_in_words_what_it_shows(picture):
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert {"gate", "expert", "left", "right", "a", "b", "c", "cat", "says cat"} <= set(texts)
    assert "0.99" in texts
    assert "gate, then expert" in picture.alt
    assert "cat: left 0.90, c 0.80, says cat" in picture.alt
    assert "dog: right 0.70, b 1.00, says cow" in picture.alt
    assert picture.figure.get_supxlabel() == f"Data: {SOURCE}" and SOURCE in picture.alt


def test_gray_images_and_no_answers():
    picture = plots.flow(IMAGES[..., :1], {"gate": GATE}, ["1", "2", "3"], "Digits", source=SOURCE)
    assert "says" not in picture.alt


@pytest.mark.parametrize(
    ("stages", "answers", "message"),
    [
        ({}, None, "at least one stage"),
        ({"gate": (["left"], GATE[1])}, None, r"\(3, 1\) in the stage 'gate'.*\(3, 2\)"),
        ({"gate": GATE}, ["one"], "3 images, 1 answers"),
    ],
)
def test_what_does_not_fit_is_refused(stages, answers, message):
    with pytest.raises(ValueError, match=message):
        plots.flow(IMAGES, stages, ["1", "2", "3"], "T", source=SOURCE, answers=answers)
