"""Texts of a figure that are not ours: names in any script, and signs that Matplotlib obeys."""

import contextlib
import functools
import warnings

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text


@contextlib.contextmanager
def drawn_as_it_is(figure):
    """Let a figure draw its texts as they are while a `with` block runs.

    A dollar is a dollar, and not the beginning of a formula; a character that the font lacks comes
    from another font of this machine, and where none has it, is a box, without a warning.
    """
    texts = figure.findobj(Text)
    for text in texts:
        text.set_parse_math(False)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":  # its powers of ten are formulas
                for text in axis.get_ticklabels(which="both"):
                    text.set_parse_math(True)
    _add_fonts(texts, {c for text in texts for c in _content(text) if ord(c) > 0x7F})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def _content(text):
    """What is drawn; a label of a tick has its text only when its axis is drawn."""
    axes = text.axes
    if axes is None or text.get_text():
        return text.get_text()
    formatters = (axes.xaxis.get_major_formatter(), axes.yaxis.get_major_formatter())
    return "".join("".join(map(str, getattr(each, "seq", ()))) for each in formatters)


def _add_fonts(texts, characters):
    """Name further fonts for the characters that a figure's own font lacks."""
    own = font_manager.findfont(font_manager.FontProperties())
    missing = {ord(character) for character in characters} - _known(own)
    if not missing:
        return
    families = []
    for entry in font_manager.fontManager.ttflist:
        found = missing & _known(entry.fname)
        if found:
            families.append(entry.name)
            missing -= found
    if families:
        for text in texts:
            text.set_fontfamily([*text.get_fontfamily(), *families])


@functools.cache
def _known(path):
    """The characters that a font has."""
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that is gone, or that FreeType cannot read
        return frozenset()
