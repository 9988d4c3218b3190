"""The figures of a run, from what was observed and from the metrics."""

from itertools import pairwise

import numpy as np

from moe_keras import plots
from moe_keras.files import replacing

CURVES = ("accuracy", "loss", "router_entropy")


def epoch_figures(seen, class_names, when, source, only=None):
    """What the gate and the experts do at one moment.

    Args:
        seen: an `Observation`.
        class_names: a name for each label.
        when: the moment in words, such as "epoch 3".
        source: what data it rests on.
        only: names of the figures wanted; left out: all.

    Returns:
        Dict of `Picture`: "heatmap" (expert x label), "usage", "weights" and "confusion".
    """
    experts = [f"expert {e}" for e in range(seen.num_experts)]
    return {
        name: draw(seen, class_names, experts, when, source)
        for name, draw in DRAWN.items()
        if only is None or name in only
    }


def _heatmap(seen, class_names, experts, when, source):
    shares = np.zeros((len(experts), len(class_names)))
    np.add.at(shares, (seen.chosen(), seen.labels), 1)
    shares /= np.maximum(np.bincount(seen.labels, minlength=len(class_names)), 1)
    title = f"Share of each label that an expert gets (top-1), {when}"
    return plots.heatmap(
        shares, experts, class_names, title, source=source, column_label="label", form="{:.0%}"
    )


def _usage(seen, class_names, experts, when, source):
    counts = {"heaviest expert": np.bincount(seen.chosen(), minlength=len(experts))}
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
    """The metrics by epoch.

    Args:
        metrics: mapping of a metric's name to its values.
        source: what data it rests on.

    Returns:
        Dict of `Picture`, one for each of CURVES that there is.
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
