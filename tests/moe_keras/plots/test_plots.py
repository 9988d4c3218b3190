"""PNGs are not compared; what is drawn, and what is said about it, is."""

import itertools

import numpy as np
import pytest

from moe_keras import plots
from moe_keras.plots.decisions import decision

SOURCE = "stand-in for CIFAR-10 (generated images)"


def texts(picture):
    figure = picture.figure
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def assert_says_source(picture):
    assert picture.figure.get_supxlabel() == f"Data: {SOURCE}"
    assert SOURCE in picture.alt


def test_heatmap_draws_the_values_it_was_given():
    values = [[0.25, 0.75], [1.0, 0.0]]
    picture = plots.heatmap(values, ["cat", "dog"], ["a", "b"], "Weights", source=SOURCE)
    np.testing.assert_array_equal(picture.figure.axes[0].images[0].get_array(), values)
    assert texts(picture) == ["0.25", "0.75", "1.00", ""]
    assert "cat: b 0.75" in picture.alt and "dog: a 1.00" in picture.alt
    assert_says_source(picture)


def test_confusion_matrix_shows_shares_of_the_true_class():
    counts = np.array([[3, 1], [0, 4], [0, 0]])
    picture = plots.confusion_matrix(counts, list("abc"), "CM", source=SOURCE, columns=["a", "b"])
    expected = [[0.75, 0.25], [0.0, 1.0], [0.0, 0.0]]
    np.testing.assert_allclose(picture.figure.axes[0].images[0].get_array(), expected)
    assert texts(picture) == ["75%", "25%", "", "100%", "", ""]
    assert_says_source(picture)


def test_label_balance_draws_one_bar_for_each_part_and_class():
    picture = plots.label_balance(
        {"training": [5, 6], "test": [1, 2]}, ["a", "b"], "N", source=SOURCE
    )
    heights = [bar.get_height() for bar in picture.figure.axes[0].patches]
    assert heights == [5, 6, 1, 2]
    assert "training: 5 to 6" in picture.alt
    assert_says_source(picture)


def test_training_curves_draw_training_and_validation():
    histories = {
        "base": {"accuracy": [0.1, 0.5], "val_accuracy": [0.2, 0.4]},
        "gate": {"accuracy": [0.9]},
    }
    picture = plots.training_curves(histories, "Curves", source=SOURCE)
    lines = {line.get_label(): line.get_ydata().tolist() for line in picture.figure.axes[0].lines}
    assert lines == {
        "base, training": [0.1, 0.5],
        "base, validation": [0.2, 0.4],
        "gate, training": [0.9],
    }
    assert_says_source(picture)


def test_intervals_draw_value_and_ends():
    picture = plots.intervals(
        {"mixture": (2.0, 1.5, 2.5)}, "Gain", source=SOURCE, label="percentage points", reference=0
    )
    (bar,) = picture.figure.axes[0].containers
    (segment,) = bar.lines[2][0].get_segments()
    np.testing.assert_allclose(segment[:, 0], [1.5, 2.5])
    assert "mixture 2.00 [1.50, 2.50]" in picture.alt
    assert_says_source(picture)


def test_image_grid_shows_each_image_with_its_title():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype="uint8")
    picture = plots.image_grid(images, ["cat", "dog", "ship"], "Samples", source=SOURCE, columns=2)
    shown = [ax for ax in picture.figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == ["cat", "dog", "ship"]
    for ax, image in zip(shown, images, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    assert_says_source(picture)


def test_routing_draws_the_weights_below_each_image():
    images = np.zeros((2, 4, 4, 1))
    weights = [[0.9, 0.1], [0.3, 0.7]]
    picture = plots.routing(
        images, weights, ["natural", "artificial"], ["cat", "ship"], "R", source=SOURCE
    )
    drawn = [[bar.get_width() for bar in ax.patches] for ax in picture.figure.axes if ax.patches]
    assert drawn == weights
    assert "ship: natural 0.30, artificial 0.70" in picture.alt
    assert_says_source(picture)


def test_a_picture_shows_itself_with_alternative_text_and_saves(tmp_path):
    picture = plots.heatmap([[1.0]], ["a"], ["b"], "One", source=SOURCE)
    data, metadata = picture._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"] == "<Picture: One>"
    assert metadata["image/png"]["alt"] == picture.alt
    picture.save(tmp_path / "one.svg")
    assert "<svg" in (tmp_path / "one.svg").read_text()


def test_the_source_cannot_be_left_out():
    with pytest.raises(TypeError, match="source"):
        plots.heatmap([[1.0]], ["a"], ["b"], "One")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: plots.heatmap([[1.0]], ["a"], ["b", "c"], "T", source=SOURCE),
            r"\(1, 2\).*\(1, 1\)",
        ),
        (
            lambda: plots.label_balance({"x": [1]}, ["a", "b"], "T", source=SOURCE),
            "1 for the part 'x'",
        ),
        (lambda: plots.training_curves({"x": {"loss": [1]}}, "T", source=SOURCE), r"\['loss'\]"),
        (lambda: plots.intervals({"x": (3, 1, 2)}, "T", source=SOURCE, label="%"), "low <= value"),
        (lambda: plots.image_grid(np.zeros((1, 4, 4)), ["a"], "T", source=SOURCE), r"\(1, 4, 4\)"),
        (
            lambda: plots.image_grid(np.zeros((1, 4, 4, 3)), [], "T", source=SOURCE),
            "1 images, 0 titles",
        ),
        (
            lambda: plots.routing(
                np.zeros((1, 4, 4, 3)), [[1.0]], ["a", "b"], ["t"], "T", source=SOURCE
            ),
            r"\(1, 2\).*\(1, 1\)",
        ),
    ],
)
def test_bad_input(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_lines_draw_each_series_and_tell_its_ends():
    picture = plots.lines(
        {"load": ([0, 10], [0.5, 0.75])},
        "Load",
        source=SOURCE,
        x_label="step",
        y_label="share",
        reference=0.5,
    )
    drawn, reference = picture.figure.axes[0].lines
    assert drawn.get_xydata().tolist() == [[0, 0.5], [10, 0.75]]
    assert reference.get_ydata() == [0.5, 0.5]
    assert "load from 0.5 to 0.75" in picture.alt
    assert_says_source(picture)


def test_lines_refuse_series_that_do_not_fit():
    with pytest.raises(ValueError, match="as many x as y"):
        plots.lines({"a": ([1], [1, 2])}, "T", source=SOURCE, x_label="x", y_label="y")


def test_decision_has_a_panel_for_each_step():
    picture = decision(
        [1.0, 0.0],
        [0.75, 0.25],
        [0.75, 0.0],
        ["natural", "artificial"],
        "One",
        source="s",
        dropped=[1],
    )
    widths = [[bar.get_width() for bar in ax.patches] for ax in picture.figure.axes]
    assert widths == [[1.0, 0.0], [0.75, 0.25], [0.75, 0.0]]
    assert picture.alt == "Bars, One. Weights: natural 0.75. Dropped: artificial. Data: s."
    without = decision(None, [1.0], [1.0], ["only"], "One", source="s")
    assert len(without.figure.axes) == 2
    with pytest.raises(ValueError, match=r"a weight for each of 1 experts. Received: shape \(2,\)"):
        decision(None, [1.0], [1.0, 0.0], ["only"], "One", source="s")


def test_histogram_draws_the_share_of_each_set_in_each_bin():
    sets = {"own": [0.1, 0.6, 0.9, 1.0], "foreign": [0.3, 0.3]}
    picture = plots.histogram(sets, "Sure?", source=SOURCE, label="probability", bins=2)
    shares = [patch.get_data().values.tolist() for patch in picture.figure.axes[0].patches]
    assert shares == [[0.25, 0.75], [1.0, 0.0]]
    assert "own: median 0.75, 4 values" in picture.alt
    assert_says_source(picture)


@pytest.mark.parametrize("values", [[], [1.5], [-0.1, 0.5]])
def test_histogram_refuses_what_it_cannot_show(values):
    with pytest.raises(ValueError, match="from 0 to 1"):
        plots.histogram({"a": values}, "T", source=SOURCE, label="x")


@pytest.mark.parametrize("top", [0.034, 0.9, 1.6, 2.7, 3.37, 4, 7.5, 12, 99.3, 340, 12_345])
def test_the_names_of_the_axes_of_lines_lie_within_the_figure(top):
    series = {f"series {n}": ([5, 10, 20], [top, top / 2, top / (n + 1)]) for n in range(4)}
    picture = plots.lines(series, "T", source=SOURCE, x_label="images", y_label="errors, %")
    picture._repr_mimebundle_()  # lays it out, as a notebook does
    axes, renderer = picture.figure.axes[0], picture.figure.canvas.get_renderer()
    assert axes.yaxis.label.get_window_extent(renderer).x0 >= 0
    assert axes.xaxis.label.get_window_extent(renderer).y0 >= 0


def test_histogram_marks_where_one_of_many_lies_each_with_a_line_of_its_own():
    marks = {"ours": 0.55, "best": 0.25}
    picture = plots.histogram({"all": [0.5, 0.6]}, "T", source=SOURCE, label="x", marks=marks)
    drawn = picture.figure.axes[0].lines
    assert [line.get_xdata()[0] for line in drawn] == [0.55, 0.25]
    assert len({line.get_linestyle() for line in drawn}) == 2
    assert [text.get_text() for text in picture.figure.legends[0].get_texts()] == ["all", *marks]
    assert "ours at 0.55; best at 0.25" in picture.alt
    with pytest.raises(ValueError, match="from 0 to 1 for 'ours'"):
        plots.histogram({"all": [0.5]}, "T", source=SOURCE, label="x", marks={"ours": 1.2})


def test_labeled_points_draw_each_point_with_its_interval_and_its_name():
    picture = plots.labeled_points(
        {"small": (1, 90.0, 89.0, 91.5), "large": (4, 92.0)},
        "Worth it?",
        source=SOURCE,
        x_label="cost",
        y_label="accuracy",
    )
    axes = picture.figure.axes[0]
    assert [(text.get_text(), text.xy) for text in axes.texts] == [
        ("small", (1, 90.0)),
        ("large", (4, 92.0)),
    ]
    bar = axes.containers[0].lines[2][0].get_segments()[0]
    assert bar.tolist() == [[1, 89.0], [1, 91.5]]
    assert "small (1, 90); large (4, 92)" in picture.alt
    assert_says_source(picture)


def test_labeled_points_stand_one_above_the_other_by_height():
    points = {f"{y}": (0, y) for y in (3, 1, 2)}
    picture = plots.labeled_points(points, "T", source="s", x_label="x", y_label="y")
    heights = {text.get_text(): text.xyann[1] for text in picture.figure.axes[0].texts}
    assert heights["1"] < heights["2"] < heights["3"]


def crossings(lines):
    """How many pairs of lines ((x, y), (x, y)) cross, their ends apart."""

    def side(a, b, c):
        return np.sign(round((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]), 9))

    return sum(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for (a, b), (c, d) in itertools.combinations(lines, 2)
    )


def test_crossings_are_counted():
    assert crossings([((0, 0), (1, 1)), ((0, 1), (1, 0)), ((0, 2), (1, 2))]) == 1


@pytest.mark.parametrize("count", [2, 3, 5, 8, 14])
@pytest.mark.parametrize("seed", range(4))
def test_no_two_lines_to_the_names_of_points_cross(count, seed):
    random = np.random.default_rng(seed)
    places = np.round(random.random((count, 2)) * (500, 3) + (0, 93), 2)  # ties of x among them
    places[: count // 2, 0] = places[0, 0]
    points = {f"way {i}": tuple(place) for i, place in enumerate(places)}
    axes = plots.labeled_points(points, "T", source="s", x_label="x", y_label="y").figure.axes[0]
    to_axes = axes.transData + axes.transAxes.inverted()
    names = [text.get_text() for text in axes.texts]
    assert sorted(names) == sorted(points)
    assert crossings([(to_axes.transform(text.xy), text.xyann) for text in axes.texts]) == 0
    heights = sorted(text.xyann[1] for text in axes.texts)
    assert min(np.diff(heights)) > 0.05  # and no name on another


@pytest.mark.parametrize("points", [{}, {"a": (0, 1, 2, 3)}])
def test_labeled_points_refuse(points):
    with pytest.raises(ValueError, match="Received"):
        plots.labeled_points(points, "T", source="s", x_label="x", y_label="y")


def test_reliability_draws_a_diagonal_and_tells_the_gap():
    picture = plots.reliability({"shy": ([0.4, 0.8], [0.6, 0.9], [1, 3])}, "Sure?", source=SOURCE)
    axes = picture.figure.axes[0]
    diagonal, drawn = axes.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert drawn.get_xydata().tolist() == [[0.4, 0.6], [0.8, 0.9]]
    assert "shy is right 0.125 more than it says" in picture.alt  # (0.2 + 3 * 0.1) / 4
    assert_says_source(picture)


def test_reliability_refuses_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match="as many confidences"):
        plots.reliability({"a": ([0.5], [0.5, 1.0], [1, 1])}, "T", source="s")


@pytest.mark.parametrize(
    "xs", [[[1, 2, 3, 4]], [[4, 6, 8, 12, 24]], [[1.0, 2.0], [1.0, 3.0]], [[0]]]
)
def test_lines_over_counts_have_whole_ticks(xs):
    series = {f"line {number}": (x, np.ones(len(x))) for number, x in enumerate(xs)}
    figure = plots.lines(series, "Loads", source=SOURCE, x_label="epoch", y_label="load").figure
    ticks = figure.axes[0].get_xticks()
    assert np.array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_epochs_are_whole(epochs):
    history = {"a": {"accuracy": [0.5] * epochs}}
    ticks = plots.training_curves(history, "Training", source=SOURCE).figure.axes[0].get_xticks()
    assert np.array_equal(ticks, np.round(ticks))


def test_lines_over_measures_may_have_ticks_between():
    series = {"line": ([0.5, 0.6], [1, 2])}
    figure = plots.lines(series, "Loads", source=SOURCE, x_label="share", y_label="load").figure
    assert len(figure.axes[0].get_xticks()) > 2
