import numpy as np
import pytest

from moe_keras.standin.canvas import Canvas, darker, lighter, make_textures

WHITE = ((255,),)


@pytest.fixture
def canvas():
    rng = np.random.default_rng(0)
    return Canvas(rng, count=2, size=8, channels=1, textures=make_textures(rng))


def at(canvas, x, y):
    """Column of the pixel whose center is nearest to (x, y)."""
    return np.argmin((canvas.grid_x - x) ** 2 + (canvas.grid_y - y) ** 2)


def center(canvas, index):
    return canvas.grid_x[0, index], canvas.grid_y[0, index]


def test_distances_worked_by_hand(canvas):
    index = at(canvas, 0.625, 0.125)
    assert center(canvas, index) == (0.625, 0.125)
    # Distance of (0.625, 0.125) from the circle around (0.125, 0.125) with radius 0.25.
    assert canvas.ellipse(0.125, 0.125, 0.25, 0.25)[0, index] == pytest.approx(0.25)
    # From the box around the same center, 0.5 wide: along x 0.5 - 0.25.
    assert canvas.box(0.125, 0.125, 0.25, 0.5)[0, index] == pytest.approx(0.25)
    # From a stroke from (0.125, -1) to (0.125, 1), 0.1 thick on either side.
    assert canvas.limb(0.125, -1, 0.125, 1, 0.1)[0, index] == pytest.approx(0.4, abs=1e-4)
    # Beyond its end (0.325, 0.125), 0.05 thick there.
    stroke = canvas.limb(-0.5, 0.125, 0.325, 0.125, 0.2, 0.05)
    assert stroke[0, index] == pytest.approx(0.25, abs=1e-4)
    # From the right edge x = 0.5 of a triangle.
    triangle = canvas.polygon((0.5, -1), (0.5, 1), (-1, 0))
    assert triangle[0, index] == pytest.approx(0.125, abs=1e-3)


def test_a_polygon_may_go_either_way_round(canvas):
    corners = [(-0.5, -0.5), (0.5, -0.4), (0.3, 0.6)]
    one_way, other_way = canvas.polygon(*corners), canvas.polygon(*corners[::-1])
    np.testing.assert_allclose(one_way, other_way, atol=1e-6)
    assert one_way[0, at(canvas, 0.1, -0.1)] < 0
    assert one_way[0, at(canvas, -0.9, 0.9)] > 0


def test_single_precision_throughout(canvas):
    shapes = [
        canvas.polygon((0, 0), (1, 0), (0, 1)),
        canvas.ellipse(0, 0, 0.5, canvas.vary(0.4)),
        canvas.limb(0, 0, 1, 1, 0.1),
        canvas.box(0, 0, 1, 1),
    ]
    assert [shape.dtype for shape in shapes] == [np.float32] * 4


def test_a_chain_is_its_limbs(canvas):
    first, second = canvas.chain((0, 0, 0.1), (0.5, 0, 0.2), (0.5, 0.5, 0.3))
    assert (first == canvas.limb(0, 0, 0.5, 0, 0.1, 0.2)).all()
    assert (second == canvas.limb(0.5, 0, 0.5, 0.5, 0.2, 0.3)).all()


def test_place_moves_scales_and_turns(canvas):
    half, quarter_turn = np.full((2, 1), 0.5, np.float32), np.full((2, 1), np.pi / 2, np.float32)
    canvas.place(0.125, -0.375, half, angle=quarter_turn)
    index = at(canvas, 0.125, 0.125)  # half a picture below the origin, so one unit
    # A quarter turn clockwise: what the object calls right points down.
    assert canvas.x[0, index] == pytest.approx(1)
    assert canvas.y[0, index] == pytest.approx(0, abs=1e-4)


def test_mirroring_flips_about_half(canvas):
    rng = np.random.default_rng(1)
    many = Canvas(rng, count=400, size=8, channels=1, textures=canvas.textures)
    many.place(0, 0, many.uniform(1, 1), mirror=True)
    flipped = (many.x[:, 0] > 0).mean()
    assert 0.4 < flipped < 0.6


def test_fill_mixes_at_the_edge(canvas):
    # A distance of a quarter pixel (a pixel is 0.25 wide): cover 0.5 - 0.25 of white.
    canvas.fill(canvas.color(WHITE, 0), np.full((2, 64), 0.0625, np.float32))
    assert canvas.pixels == pytest.approx(255 * 0.25)


def test_fill_paints_the_union_and_heeds_opacity(canvas):
    left, right = canvas.box(-0.5, 0, 0.4, 2), canvas.box(0.5, 0, 0.4, 2)
    canvas.fill(canvas.color(WHITE, 0), left, right, opacity=np.array([[0.5], [1.0]], np.float32))
    columns = at(canvas, -0.5, 0), at(canvas, 0.5, 0)
    assert canvas.pixels[0][:, columns].tolist() == [[127.5, 127.5], [255, 255]]


def test_images_are_whole_numbers_of_five_bits(canvas):
    canvas.pixels[:] = np.linspace(-50, 300, 64, dtype=np.float32)
    images = canvas.images()
    assert images.shape == (2, 8, 8, 1)
    assert images.dtype == np.uint8
    assert (images % 8 == 0).all()
    assert (images.min(), images.max()) == (0, 248)


def test_colors(canvas):
    color = canvas.color(((100, 100, 100),), spread=5)
    assert color.shape == (3, 2, 1)
    assert (abs(color - 100) <= 5).all()
    assert darker(np.float32(100), 0.25) == 75
    assert lighter(np.float32(145), 0.5) == 195


def test_textures_are_smooth_and_bounded():
    textures = make_textures(np.random.default_rng(0))
    assert abs(textures).max() <= 1
    assert abs(np.diff(textures, axis=1)).max() < 0.4
    assert textures.std() > 0.2
