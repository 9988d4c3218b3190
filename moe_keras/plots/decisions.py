"""A gate's decision about one input, from scores to weights."""

import numpy as np

from moe_keras.plots.picture import COLORS, Picture, new_figure


def decision(logits, probabilities, weights, experts, title, *, source, dropped=()):
    """Bars for each expert: its score, its probability, and the weight that its answer gets.

    Args:
        logits: array (E,), or None where the gate gives none.
        probabilities: array (E,).
        weights: array (E,), 0 for an expert that is not asked.
        experts: a name for each expert.
        title: title of the figure.
        source: what data it rests on: `dataset.label`.
        dropped: experts, by number, that were chosen but had no slot left.

    Returns:
        Picture.

    Raises:
        ValueError: if there is not one value for each expert.
    """
    panels = [("probability", probabilities), ("weight", weights)]
    if logits is not None:
        panels.insert(0, ("score (logit)", logits))
    for name, values in panels:
        if np.shape(values) != (len(experts),):
            raise ValueError(
                f"Expected a {name} for each of {len(experts)} experts. "
                f"Received: shape {np.shape(values)}"
            )
    size = (1.5 + 2.6 * len(panels), 1.4 + 0.34 * len(experts))
    figure, axes = new_figure(title, source, size, columns=len(panels), sharey=True)
    places = np.arange(len(experts))
    for ax, color, (name, values) in zip(axes, COLORS, panels, strict=False):
        bars = ax.barh(places, values, color=color)
        ax.bar_label(bars, [f"{value:.2f}" if value else "" for value in values], fontsize=7)
        ax.set_xlabel(name)
        ax.margins(x=0.2)
        ax.axvline(0, color="black", linewidth=0.8)
    for e in dropped:
        axes[-1].text(0, e, " dropped: no slot left", va="center", fontsize=7)
    axes[0].set_yticks(places, experts)
    axes[0].invert_yaxis()
    asked = [f"{experts[e]} {weights[e]:.2f}" for e in np.argsort(weights)[::-1] if weights[e] > 0]
    lost = f" Dropped: {', '.join(experts[e] for e in dropped)}." if len(dropped) else ""
    alt = f"Bars, {title}. Weights: {', '.join(asked) or 'none'}.{lost} Data: {source}."
    return Picture(figure, title, alt)
