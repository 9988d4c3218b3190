"""Figures of a run."""

from itertools import pairwise

import numpy as np

from moe_common.files import replacing
from moe_keras import plots
from moe_keras.masks import NO_EXPERT

CURVES = ("accuracy", "loss", "router_entropy")


def epoch_figures(seen, class_names, when, source, only=None):
    """Figures of routing and predictions at one moment.

    Args:
        seen: `Observation` to draw.
        class_names: Sequence of strings, a name for each label.
        when: String, the moment in words, such as "epoch 3".
        source: String, name of the data that it rests on.
        only: Sequence of strings, names of the figures to draw; `None`: all.

    Returns:
        Dictionary of `Picture`: "heatmap" (expert x label), "usage", "weights" and "confusion".
    """
    experts = [f"expert {e}" for e in range(seen.num_experts)]
    return {
        name: draw(seen, class_names, experts, when, source)
        for name, draw in DRAWN.items()
        if only is None or name in only
    }


def _heatmap(seen, class_names, experts, when, source):
    shares = np.zeros((len(experts), len(class_names)))
    chosen = seen.chosen()
    asked = chosen != NO_EXPERT
    np.add.at(shares, (chosen[asked], seen.labels[asked]), 1)
    shares /= np.maximum(np.bincount(seen.labels, minlength=len(class_names)), 1)
    title = f"Share of each label that an expert gets (top-1), {when}"
    return plots.heatmap(
        shares, experts, class_names, title, source=source, column_label="label", form="{:.0%}"
    )


def _usage(seen, class_names, experts, when, source):
    chosen = seen.chosen()
    counts = np.bincount(chosen[chosen != NO_EXPERT], minlength=len(experts))
    counts = {"heaviest expert": counts}
    title = f"Expert usage, {when}"
    return plots.label_balance(counts, experts, title, source=source)


def _weights(seen, class_names, experts, when, source):
    edges = np.linspace(0, 1, 11)
    shares = [np.histogram(w, edges)[0] / len(w) for w in np.clip(seen.weights.T, 0, 1)]
    bins = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(edges)]
    title = f"How each expert's weights are distributed over the images, {when}"
    return plots.heatmap(
        shares, experts, bins, title, source=source, column_label="weight", form="{:.0%}"
    )


def _confusion(seen, class_names, experts, when, source):
    counts = np.zeros((len(class_names), len(class_names)), int)
    np.add.at(counts, (seen.labels, seen.predictions), 1)
    return plots.confusion_matrix(counts, class_names, f"Confusion matrix, {when}", source=source)


DRAWN = {"heatmap": _heatmap, "usage": _usage, "weights": _weights, "confusion": _confusion}


def curve_figures(metrics, source):
    """Training curves of a run.

    Args:
        metrics: Dictionary from a metric's name to its values.
        source: String, name of the data that it rests on.

    Returns:
        Dictionary of `Picture`, one for each of CURVES that there is.
    """
    return {
        name: plots.training_curves(
            {"run": metrics}, f"{name.replace('_', ' ')} by epoch", source=source, metric=name
        )
        for name in CURVES
        if name in metrics
    }


def save_figure(picture, path):
    """Write a figure as a PNG file."""
    with replacing(path) as temporary:
        picture.save(temporary, format="png", dpi=72)
