"""Colors as different eyes see them: simulated color blindness, distances, contrast.

All functions take sRGB colors from 0 to 1 in arrays (..., 3).

References:
    Machado, Oliveira and Fernandes (2009), A physiologically-based model for simulation of color
    vision deficiency, IEEE Transactions on Visualization and Computer Graphics 15(6): the matrices
    for severity 1.0, which act on linear RGB. IEC 61966-2-1: sRGB. CIE 15: L*a*b* and its distance
    of 1976. WCAG 2.2, success criterion 1.4.3: contrast.
"""

import numpy as np

VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colors):
    colors = np.asarray(colors, float)
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def seen(colors, vision):
    """Linear RGB as that vision sees it."""
    return np.clip(linear(colors) @ VISIONS[vision].T, 0, 1)


def distance(one, other, vision="normal"):
    """How far apart two colors look: Euclidean in L*a*b*, where about 2 is just noticeable."""
    return np.linalg.norm(_lab(seen(one, vision)) - _lab(seen(other, vision)), axis=-1)


def contrast(one, other):
    """From 1, the same, to 21, black on white."""
    one, other = (linear(colors) @ TO_XYZ[1] + 0.05 for colors in (one, other))
    return np.maximum(one, other) / np.minimum(one, other)


def _lab(linear_colors):
    relative = linear_colors @ TO_XYZ.T / TO_XYZ.sum(axis=1)  # to white
    f = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
