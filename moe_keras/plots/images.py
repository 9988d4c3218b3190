"""Pictures of the images themselves, and of where a gate sends them."""

import math

import numpy as np

from moe_keras.arguments import pixel_images
from moe_keras.plots.picture import COLORS, Picture, new_figure


def image_grid(images, titles, title, *, source, columns=10):
    """Show images in a grid, each with a short title.

    Args:
        images: array (N, height, width, 1 or 3) of pixel values 0 to 255.
        titles: N short texts.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        columns: images in a row.

    Returns:
        Picture.

    Raises:
        ValueError: if images are not of rank 4 or not as many as the titles, or there are none.
    """
    images = checked_images(images, titles)
    rows = math.ceil(len(images) / columns)
    size = (0.95 * columns, 0.6 + 1.15 * rows)
    figure, axes = new_figure(title, source, size, rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, image, text in zip(axes.flat, images, titles, strict=False):
        show_image(ax, image)
        ax.set_title(text, fontsize=8)
    alt = f"{len(images)} small images, {title}: {', '.join(map(str, titles))}. Data: {source}."
    return Picture(figure, title, alt)


def routing(images, weights, experts, titles, title, *, source):
    """Show images and, under each, how a gate weighs the experts for it.

    Args:
        images: array (N, height, width, 1 or 3) of pixel values 0 to 255.
        weights: array (N, E); each row sums to 1.
        experts: the E experts' names.
        titles: N short texts, such as the class and the prediction.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.

    Returns:
        Picture.

    Raises:
        ValueError: if the images, weights, names and titles do not fit each other.
    """
    images, weights = checked_images(images, titles), np.asarray(weights)
    if weights.shape != (len(images), len(experts)):
        raise ValueError(
            f"Expected weights of shape (images, experts) = {(len(images), len(experts))}. "
            f"Received: shape {weights.shape}"
        )
    size = (max(1.25 * len(images) + 0.8, 4.6), 3.0)
    figure, axes = new_figure(
        title, source, size, 2, len(images), squeeze=False, gridspec_kw={"height_ratios": [3, 2]}
    )
    for index, (image, text) in enumerate(zip(images, titles, strict=True)):
        above, below = axes[:, index]
        show_image(above, image)
        above.set_title(text, fontsize=8)
        above.set_axis_off()
        places = np.arange(len(experts))
        below.barh(places, weights[index], color=COLORS[: len(experts)])
        for place, weight in zip(places, weights[index], strict=True):
            below.text(1.05, place, f"{weight:.2f}", va="center", fontsize=7)
        below.set_yticks(places, experts if index == 0 else [""] * len(experts), fontsize=8)
        below.set(xlim=(0, 1), xticks=[0, 1])
        below.tick_params(axis="x", labelsize=7)
        below.invert_yaxis()
    parts = "; ".join(
        f"{' '.join(str(text).split())}: "
        + ", ".join(f"{name} {weight:.2f}" for name, weight in zip(experts, row, strict=True))
        for text, row in zip(titles, weights, strict=True)
    )
    return Picture(
        figure, title, f"{title}. Weights of the experts for each image: {parts}. Data: {source}."
    )


def checked_images(images, titles):
    """Images as an array, if they are images and as many as the titles."""
    images = pixel_images(images)
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            "Expected images with 1 channel (gray) or 3 (red, green, blue). "
            f"Received: shape {images.shape}"
        )
    if len(images) != len(titles):
        raise ValueError(
            f"Expected one title for each image. Received: {len(images)} images, {len(titles)} "
            "titles"
        )
    return images


def show_image(ax, image, **options):
    """Draw one image, gray or colored."""
    pixels = image.astype("uint8")
    pixels = pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, **options)
