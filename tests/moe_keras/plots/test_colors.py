"""Figures as they are rendered: texts can be read, and colors told apart by any color vision."""

import itertools

import keras
import matplotlib.text
import numpy as np
import pytest
from color_vision import VISIONS, contrast, distance
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer

from moe_keras import plots
from moe_keras.experts import FrozenExpert
from moe_keras.gates import SoftmaxGate
from moe_keras.mixtures import DenseMoE
from moe_keras.plots.decisions import decision
from moe_keras.plots.heatmaps import text_color
from moe_keras.plots.picture import COLORS, new_figure

READABLE = 4.5  # WCAG 2.2, level AA, for text of any size
APART = 15  # L*a*b*; neighbors on a well-made map's legend are about so far apart

SOURCE = "generated"
NAMES = ["bird", "cat", "deer", "dog"]
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8")
SHARES = np.random.default_rng(1).dirichlet(np.ones(4), 4)
STEPS = np.arange(10)


def model():
    inputs = keras.Input((4,), name="numbers")
    experts = [keras.layers.Dense(3, name="one"), FrozenExpert(keras.layers.Dense(3, name="two"))]
    return keras.Model(inputs, DenseMoE(experts, SoftmaxGate(2), name="mixture")(inputs))


def history(shift):
    return {"accuracy": STEPS / 20 + shift, "val_accuracy": STEPS / 25 + shift}


def reliability_curve(shift):
    confidence = np.linspace(0.3, 0.9, 5)
    return confidence, confidence - shift, np.arange(1, 6)


SERIES = [f"model {i}" for i in range(len(COLORS))]
FIGURES = {
    "confusion_matrix": lambda: plots.confusion_matrix(100 * SHARES, NAMES, "T", source=SOURCE),
    "decision": lambda: decision(
        [1.0, 0.5, -0.2], SHARES[0][:3], [0.6, 0.4, 0], NAMES[:3], "T", source=SOURCE, dropped=[2]
    ),
    "flow": lambda: plots.flow(
        IMAGES, {"gate": (NAMES, SHARES)}, NAMES, "T", source=SOURCE, answers=NAMES
    ),
    "heatmap": lambda: plots.heatmap(
        np.linspace(0, 1, 40).reshape(4, 10), NAMES, range(10), "T", source=SOURCE
    ),
    "colored_text": lambda: plots.colored_text(
        ["def f(x):", "    return x"],
        [[0, 0, 0, 1, 2, 3, 2, 3, 3], [1] * 4 + [0] * 6 + [1, 2]],
        ["keywords", "blanks", "names", "signs"],
        "Kinds of bytes",
        source="two lines",
    ),
    "histogram": lambda: plots.histogram(
        {name: np.random.default_rng(i).beta(i + 1, 4 - i, 200) for i, name in enumerate(NAMES)},
        *("T",), source=SOURCE, label="probability",
    ),
    "image_grid": lambda: plots.image_grid(IMAGES, NAMES, "T", source=SOURCE, columns=4),
    "intervals": lambda: plots.intervals(
        {name: (i, i - 1, i + 1) for i, name in enumerate(SERIES)},
        *("T",), source=SOURCE, label="points", reference=0,
    ),
    "label_balance": lambda: plots.label_balance(
        {part: [10 * i + 5] * 4 for i, part in enumerate(("training", "validation", "test"))},
        *(NAMES, "T"), source=SOURCE,
    ),
    "labeled_points": lambda: plots.labeled_points(
        {name: (i, i % 3, i % 3 - 0.2, i % 3 + 0.2) for i, name in enumerate(SERIES)},
        *("T",), source=SOURCE, x_label="cost", y_label="accuracy",
    ),
    "lines": lambda: plots.lines(
        {name: (STEPS, STEPS + 3 * i) for i, name in enumerate(SERIES)},
        *("T",), source=SOURCE, x_label="step", y_label="load", reference=3,
    ),
    "model_graph": lambda: plots.model_graph(model(), "T", source=SOURCE),
    "reliability": lambda: plots.reliability(
        {name: reliability_curve(0.05 * i) for i, name in enumerate(SERIES)}, "T", source=SOURCE
    ),
    "routing": lambda: plots.routing(IMAGES, SHARES, NAMES, NAMES, "T", source=SOURCE),
    "training_curves": lambda: plots.training_curves(
        {name: history(0.05 * i) for i, name in enumerate(SERIES)}, "T", source=SOURCE
    ),
}  # fmt: skip


@pytest.fixture(params=FIGURES, scope="module")
def figure(request):
    return FIGURES[request.param]().figure


def rendered(figure):
    """The pixels as they are seen, 0 to 1."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def drawn_by(figure, artists):
    """Where these artists show, and what would be there without them."""
    whole = rendered(figure)
    before = [artist.get_visible() for artist in artists]
    layout = figure.get_layout_engine()
    figure.set_layout_engine("none")  # nothing moves when they go
    for artist in artists:
        artist.set_visible(False)
    without = rendered(figure)
    for artist, visible in zip(artists, before, strict=True):
        artist.set_visible(visible)
    figure.set_layout_engine(layout)
    return np.abs(whole - without).max(axis=-1) > 0.2, whole, without


def texts_of(figure):
    return [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text().strip() and text.get_visible() and text.get_window_extent().width
    ]


def test_every_public_figure_is_looked_at():
    assert set(FIGURES) == {*plots.__all__, "decision"}  # the last is what `explain` shows


def test_every_text_can_be_read(figure):
    rendered(figure)
    texts = texts_of(figure)
    assert len(texts) >= 3
    ink, _, behind = drawn_by(figure, texts)
    height = len(ink)
    for text in texts:
        box = text.get_window_extent()
        left, right = (round(x) for x in (box.x0, box.x1))
        top, bottom = (round(height - y) for y in (box.y1, box.y0))
        where = slice(max(top, 0), bottom), slice(max(left, 0), right)
        under = behind[where][ink[where]]
        if not len(under):  # an axis drawn off, or a name without letters
            continue
        # A thin line may pass below a letter; nine in ten pixels must stand out.
        worst = np.quantile(contrast(to_rgb(text.get_color()), under), 0.1)
        assert worst >= READABLE, (text.get_text(), round(float(worst), 2))


@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_colors_of_the_palette_stay_apart(vision):
    for one, other in itertools.combinations(map(to_rgb, COLORS), 2):
        assert distance(one, other, vision) >= APART, (one, other)


def is_named(artist):
    """Whether it stands in the legend: Matplotlib's own names begin with _."""
    return artist.get_label()[:1] not in ("", "_")


def marks(figure):
    """What stands for a thing with a color of its own: (color, what else tells it) of each."""
    for axes in figure.axes:
        for line in axes.lines:
            if is_named(line):
                yield line, (line.get_linestyle(), line.get_marker())
        for container in axes.containers:
            if isinstance(container, ErrorbarContainer):
                yield container.lines[0], (container.lines[0].get_marker(),)
            if isinstance(container, BarContainer) and is_named(container):
                yield container[0], (container[0].get_hatch(),)
        for patch in axes.patches:
            if is_named(patch):
                yield patch, (patch.get_hatch(),)


def shown_color(figure, artist):
    """The commonest color among the pixels that the artist makes."""
    where, whole, _ = drawn_by(figure, [artist])
    colors, counts = np.unique((255 * whole[where]).round(), axis=0, return_counts=True)
    return colors[counts.argmax()] / 255


def told_by_color_alone(figure):
    """Pairs of marks that are alike in all but color, and in color too for some vision."""
    known = [(shown_color(figure, artist), also) for artist, also in marks(figure)]
    return [
        (one, other)
        for (one, also_one), (other, also_other) in itertools.combinations(known, 2)
        if also_one == also_other
        and min(distance(one, other, vision) for vision in VISIONS) < APART
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_no_two_marks_are_told_by_color_alone(name):
    assert told_by_color_alone(FIGURES[name]().figure) == []


def test_marks_told_by_color_alone_are_found():
    figure, axes = new_figure("T", SOURCE, (4, 3))
    for place, color in enumerate(["#0072B2", "#0072B8", "#E69F00"]):
        axes.bar([place], [1], color=color, label=f"bar {place}")
    assert len(told_by_color_alone(figure)) == 1


@pytest.mark.parametrize("count", [7, 8, 9, 16, 20])
def test_no_two_lines_share_both_color_and_marker(count):
    series = {f"expert {i}": (STEPS, STEPS + i) for i in range(count)}
    axes = plots.lines(series, "T", source=SOURCE, x_label="step", y_label="load").figure.axes[0]
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == count


@pytest.mark.parametrize("name", ["lines", "label_balance", "labeled_points", "training_curves"])
def test_marks_are_found(name):
    assert len(list(marks(FIGURES[name]().figure))) >= 3


@pytest.mark.parametrize("value", np.linspace(0, 1, 21))
def test_a_heat_map_writes_in_the_color_that_stands_out(value):
    from matplotlib import colormaps

    shade = colormaps["Blues"](value)[:3]
    assert contrast(to_rgb(text_color(shade)), shade) >= READABLE


def test_distances_and_contrasts_worked_out_by_hand():
    black, white = np.zeros(3), np.ones(3)
    assert contrast(black, white) == pytest.approx(21)  # (1 + 0.05) / 0.05
    assert contrast([0.5] * 3, white) == pytest.approx(1.05 / (0.2140 + 0.05), rel=1e-3)
    assert distance(black, white) == pytest.approx(100, abs=0.1)  # L* from 0 to 100
    for vision in VISIONS:  # gray stays gray
        assert distance([0.5] * 3, [0.5] * 3, vision) == 0
        assert distance(black, white, vision) == pytest.approx(100, abs=0.1)
    # Red and a green of the same lightness to those who lack one of the two.
    red, green = np.array([0.72, 0.27, 0.0]), np.array([0.46, 0.46, 0.0])
    assert distance(red, green) > 40
    assert distance(red, green, "deuteranopia") < 20
