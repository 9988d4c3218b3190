"""The stand-in for CIFAR-10: little scenes of ten kinds, 32 x 32 pixels, in color."""

from moe_keras.standin import animals, vehicles
from moe_keras.standin.canvas import Canvas
from moe_keras.standin.scenery import develop, paint_background, paint_foreground

NATURAL = (2, 3, 4, 5, 6, 7)  # the class ids of animals

# For each class id the two ways its subject is seen, and the ten places where it is found. Most
# places are shared, so that a background alone says little.
KINDS = (
    (
        (vehicles.airplane_side, vehicles.airplane_below),
        "sky sky sky sky sky sky sky field road water",
    ),
    (
        (vehicles.automobile_side, vehicles.automobile_front),
        "road road road road road yard yard yard field field",
    ),
    (
        (animals.bird_perched, animals.bird_flying),
        "sky sky field meadow meadow meadow forest forest forest pond",
    ),
    (
        (animals.cat_face, animals.cat_side),
        "room room room room yard meadow meadow meadow field field",
    ),
    (
        (animals.deer_side, animals.deer_face),
        "forest forest forest field field field meadow meadow meadow pond",
    ),
    (
        (animals.dog_face, animals.dog_side),
        "room room room yard meadow meadow meadow field field field",
    ),
    (
        (animals.frog_front, animals.frog_above),
        "meadow meadow meadow meadow pond pond pond forest forest room",
    ),
    (
        (animals.horse_side, animals.horse_face),
        "field field field field meadow meadow meadow forest forest forest",
    ),
    (
        (vehicles.ship_steamer, vehicles.ship_sailing),
        "water water water water water water water pond sky field",
    ),
    (
        (vehicles.truck_side, vehicles.truck_front),
        "road road road road road yard yard yard field field",
    ),
)


def paint_scenes(rng, label, batch, count, textures):
    """`count` scenes of one class, uint8 (count, 32, 32, 3).

    Sizes, colors, light, blur and what hides the subject vary so much that a small network gets
    four in five right after a short training, about as on the photographs.

    Args:
        rng: NumPy generator.
        label: class id.
        batch: number of the batch; successive ones go through the class's views and places.
        count: scenes to paint.
        textures: what `make_textures` returned.
    """
    views, places = KINDS[label]
    places = places.split()
    canvas = Canvas(rng, count, 32, 3, textures)
    if label in NATURAL:
        # Pliant and patchy, among round things more often than square ones.
        bend, patches, roundness = canvas.uniform(0.15, 0.85), canvas.uniform(0.1, 0.5), 0.85
    else:
        # Straight and even, among square things.
        bend, patches, roundness = canvas.uniform(0.0, 0.05), canvas.uniform(0.0, 0.15), 0.15
    canvas.softness = canvas.uniform(0.9, 2.0)
    paint_background(canvas, places[batch // len(views) % len(places)], roundness)
    scale = canvas.uniform(0.5, 0.95)
    room = 1.15 - scale
    canvas.place(
        canvas.uniform(-1, 1) * room,
        canvas.uniform(-1, 1) * room,
        scale,
        angle=canvas.uniform(-0.5, 0.5),
        mirror=True,
        bend=bend,
    )
    canvas.tone = 1 + patches * canvas.texture() - canvas.uniform(0.0, 0.2) * canvas.y
    views[batch % len(views)](canvas)
    paint_foreground(canvas, roundness)
    develop(canvas)
    return canvas.images()
