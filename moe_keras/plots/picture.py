"""A figure together with its description in words."""

import io
import textwrap
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from moe_keras.plots.texts import drawn_as_it_is

# Okabe and Ito's colors: told apart with any color vision, and by lightness in gray print.
# Their yellow is too pale for a line; the eighth is the wine of Tol's muted scheme.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#882255")
# One more than colors: a pair of both comes again only after 72 series.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
DOTS_PER_INCH = 96


def new_figure(title, source, size, rows=1, columns=1, **subplots):
    """A titled figure with its source in the corner, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, **subplots)
    figure.suptitle(textwrap.fill(title, width=round(11 * size[0])))
    figure.supxlabel(f"Data: {source}", x=0.995, ha="right", fontsize=7, color="#555555")
    return figure, axes


class Picture:
    """A Matplotlib figure that shows itself in a notebook, with alternative text.

    Args:
        figure: a `matplotlib.figure.Figure`; change it freely before it is shown.
        title: a few words.
        alt: what the figure shows, in words, for those who do not see it.
    """

    def __init__(self, figure, title, alt):
        self.figure = figure
        self.title = title
        self.alt = alt

    def __repr__(self):
        return f"<Picture: {self.title}>"

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = io.BytesIO()
        self.save(png, format="png", dpi=DOTS_PER_INCH)
        # No "alt" in text/plain: a notebook's text is compared from run to run, and alt holds
        # figures.
        return (
            {"image/png": png.getvalue(), "text/plain": repr(self)},
            {"image/png": {"alt": self.alt}},
        )

    def save(self, path, **options):
        """Write the figure; a path's ending (.png, .svg, .pdf) chooses the format.

        Texts are drawn as they are, in any script that a font on this machine knows.
        """
        target = path if hasattr(path, "write") else Path(path)
        with drawn_as_it_is(self.figure):
            self.figure.savefig(target, **options)
