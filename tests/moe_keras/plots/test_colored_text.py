import numpy as np
import pytest

from moe_keras.plots import colored_text

NAMES = ["blanks", "words"]


def cells(picture):
    (image,) = picture.figure.axes[0].get_images()
    return np.asarray(image.get_array())


def test_each_character_has_the_color_of_its_category():
    picture = colored_text(["a b", "$x"], [[1, 0, 1], [0, 1]], NAMES, "Who", source="a file")
    colors = cells(picture)
    assert colors.shape == (2, 3, 3)
    assert (colors[0, 0] == colors[0, 2]).all() and (colors[0, 0] == colors[1, 1]).all()
    assert (colors[0, 1] == colors[1, 0]).all() and (colors[0, 0] != colors[0, 1]).any()
    assert (colors[1, 2] == 1).all()  # beyond the end of a line is white
    assert "blanks 40%, words 60%" in picture.alt and "a file" in picture.alt


def test_any_character_can_be_drawn(tmp_path):
    line = "".join(map(chr, range(32, 127))) + "\\$$_^é"
    picture = colored_text([line], [[0] * len(line)], NAMES, "All", source="none")
    picture.save(tmp_path / "text.png")
    assert (tmp_path / "text.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("lines", "categories", "names", "message"),
    [
        (["ab"], [[0]], NAMES, "one category for each character"),
        (["ab"], [[0, 0], [1]], NAMES, "one category for each character"),
        ([], [], NAMES, "one category for each character"),
        (["ab"], [[0, 2]], NAMES, "from 0 to 1"),
        (["ab"], [[0, -1]], NAMES, "from 0 to 1"),
        (["ab"], [[0, 1]], list("abcdefghi"), "8 names at most"),
    ],
)
def test_what_does_not_fit_is_refused(lines, categories, names, message):
    with pytest.raises(ValueError, match=message):
        colored_text(lines, categories, names, "title", source="none")
