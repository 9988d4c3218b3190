"""Names of classes in any script, and with signs that Matplotlib would obey."""

import io
import warnings

import numpy as np
import pytest

from moe_keras import plots

NAMES = {
    "dollars": ["$5 to $10", "$", r"\$x$", "$\\frac{$"],
    "Chinese": ["猫", "狗", "飞机", "船"],
    "Arabic": ["قطة", "كلب", "طائرة", "سفينة"],
    "Devanagari": ["बिल्ली", "कुत्ता", "जहाज", "पक्षी"],
    "signs": ["a_b^c", "{x}", "100 %", "\\alpha"],
    "pictures": ["🐱", "🐶", "✈", "🚢"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_drawn_as_they_are(kind):
    names = NAMES[kind]
    pictures = [
        plots.confusion_matrix(np.eye(4, dtype=int), names, names[0], source=names[1]),
        plots.label_balance({names[0]: [1, 2, 3, 4]}, names, names[2], source=names[3]),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in pictures:
            for form in ("png", "svg"):
                picture.save(io.BytesIO(), format=form)
            picture._repr_mimebundle_()
    (axes,) = pictures[0].figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names


def test_a_scale_of_powers_keeps_its_formulas():
    picture = plots.lines(
        {"a": ([1, 10, 100], [1, 2, 3])}, "t", source="s", x_label="x", y_label="y"
    )
    (axes,) = picture.figure.axes
    axes.set_xscale("log")
    picture.save(io.BytesIO(), format="png")
    assert all(label.get_parse_math() for label in axes.get_xticklabels())
    assert not axes.title.get_parse_math()
