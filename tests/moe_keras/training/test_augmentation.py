import keras
import numpy as np
import pytest

from moe_keras.training import AugmentedImages


def numbered_images(count, size=8):
    """Image i holds i everywhere but for a bright left column: shifts and mirrors can be seen."""
    numbers = np.arange(count, dtype="uint8").reshape(count, 1, 1, 1)
    images = np.tile(numbers, (1, size, size, 3))
    images[:, :, 0] = 200
    return images


def epoch(batches):
    parts = [batches[i] for i in range(len(batches))]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def test_every_image_comes_once_an_epoch_with_its_label():
    batches = AugmentedImages(numbered_images(10), np.arange(10), batch_size=4)
    images, labels = epoch(batches)
    assert len(batches) == 3
    assert sorted(labels) == list(range(10))
    assert (images[:, 0, 4, 0] == labels).all()  # column 4 is never the bright one
    assert images.dtype == np.uint8


def test_without_shift_and_mirror_images_are_untouched():
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 1), dtype="uint8")
    batches = AugmentedImages(images, np.arange(6), batch_size=6, shift=0, mirror=False)
    got, labels = batches[0]
    np.testing.assert_array_equal(got, images[labels])


def test_mirroring_moves_the_bright_column_to_the_right_for_about_half():
    batches = AugmentedImages(numbered_images(200), np.arange(200), batch_size=200, shift=0)
    images, _ = batches[0]
    left, right = images[:, 0, 0, 0] == 200, images[:, 0, -1, 0] == 200
    assert (left ^ right).all()
    assert 70 < right.sum() < 130


def test_a_shift_is_a_window_of_the_reflected_image():
    image = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = {padded[0, i : i + 5, j : j + 5, 0].tobytes() for i in range(5) for j in range(5)}
    batches = AugmentedImages(image, [0], batch_size=1, shift=2, mirror=False, seed=3)
    seen = set()
    for _ in range(60):
        seen.add(batches[0][0][0, :, :, 0].tobytes())
        batches.on_epoch_end()
    assert seen <= windows
    assert len(seen) > 15


def test_epochs_differ_and_seeds_repeat():
    def orders(seed):
        batches = AugmentedImages(numbered_images(50), np.arange(50), batch_size=50, seed=seed)
        first = batches[0][1].tolist()
        batches.on_epoch_end()
        return first, batches[0][1].tolist()

    first, second = orders(1)
    assert first != second
    assert orders(1) == (first, second)
    assert orders(2)[0] != first


def test_every_image_is_seen_both_ways():
    batches = AugmentedImages(numbered_images(50), np.arange(50), batch_size=50, shift=0)
    seen = []
    for _ in range(2):
        images, labels = batches[0]
        seen.append((images[np.argsort(labels)][:, 0, 0, 0] == 200).tolist())
        batches.on_epoch_end()
    assert seen[0] == [not left for left in seen[1]]


def test_images_of_a_batch_are_shifted_differently():
    batches = AugmentedImages(numbered_images(100), np.arange(100), batch_size=100, mirror=False)
    bright = (batches[0][0][:, 0, :, 0] == 200).argmax(axis=1)
    assert set(bright) == {0, 1, 2}  # the column itself, or the reflected one


def test_a_later_epoch_can_be_asked_for():
    def at(epoch, steps):
        batches = AugmentedImages(numbered_images(9), np.arange(9), batch_size=9, epoch=epoch)
        for _ in range(steps):
            batches.on_epoch_end()
        return batches[0]

    for expected, found in zip(at(0, 3), at(3, 0), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_fits_that_follow_each_other_leave_no_epoch_out():
    batches = AugmentedImages(numbered_images(6), np.zeros(6), batch_size=4, epoch=2)
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
    model, numbers = keras.Sequential(layers), []
    model.compile("adam", "mse")
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: numbers.append(batches.epoch)
    )
    for _ in range(2):
        model.fit(batches, epochs=2, shuffle=False, callbacks=[note], verbose=0)
    assert numbers == [3, 3, 4, 4, 5, 5, 6, 6]


def test_the_original_images_are_not_changed():
    images = numbered_images(6)
    kept = images.copy()
    epoch(AugmentedImages(images, np.arange(6), batch_size=2))
    np.testing.assert_array_equal(images, kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.zeros((4, 8, 8)), np.zeros(4)),
            r"rank|shape \(N, height, width, channels\).*\(4, 8, 8\)",
        ),
        ((np.zeros((0, 8, 8, 3)), np.zeros(0)), "one or more images"),
        ((np.full((4, 8, 8, 3), 0.5), np.zeros(4)), "0 to 255, not scaled"),
        ((np.zeros((4, 8, 8, 3)), np.zeros(3)), "4 images and 3 labels"),
        ((np.zeros((4, 8, 8, 3)), np.zeros(4), 0), "batch_size=0"),
        ((np.zeros((4, 8, 8, 3)), np.zeros(4), 2, 8), "shift=8"),
        ((np.zeros((4, 8, 8, 3)), np.zeros(4), 2, -1), "shift=-1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        AugmentedImages(*arguments)
