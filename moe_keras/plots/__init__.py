"""Figures from arrays: each says what data it rests on and carries a description in words.

Every function takes plain arrays (`model_graph` a model) and returns a `Picture`, which a notebook
shows by itself and which `save` writes to a file. The keyword `source` is required, so that no
figure hides that its data is a stand-in: pass `dataset.label`.
"""

from moe_keras.plots.charts import intervals, label_balance, lines, training_curves
from moe_keras.plots.colored_text import colored_text
from moe_keras.plots.flows import flow
from moe_keras.plots.graphs import model_graph
from moe_keras.plots.heatmaps import confusion_matrix, heatmap
from moe_keras.plots.histograms import histogram
from moe_keras.plots.images import image_grid, routing
from moe_keras.plots.tradeoffs import labeled_points, reliability

__all__ = [
    "colored_text",
    "confusion_matrix",
    "flow",
    "heatmap",
    "histogram",
    "image_grid",
    "intervals",
    "label_balance",
    "labeled_points",
    "lines",
    "model_graph",
    "reliability",
    "routing",
    "training_curves",
]
