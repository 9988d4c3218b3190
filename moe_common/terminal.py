"""What commands print: tables of which nothing is ever cut, and every text just as it is.

File names, students' names and messages of errors are not ours: rich would take `[cat, dog]` in one
of them for a style and leave it out, fail at `[/b]`, and make a picture of `:dog:`. So commands
print through this module alone.
"""

from itertools import zip_longest

from rich.cells import cell_len
from rich.progress import TextColumn
from rich.table import Column
from rich.text import Text

# A terminal obeys these characters: what a file is called must not move its cursor.
CONTROLS = {
    code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160)) if chr(code) != "\n"
}
GAP = "  "


def plain(text, style=""):
    """A text for rich to print as it is; control characters are spelled out, as in `\\x1b`."""
    known = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return Text(known.translate(CONTROLS), style)


def show(console, text, style=""):
    """Print a text; where a line is longer than the terminal is wide, the terminal goes on below.

    Args:
        console: a `rich.console.Console`.
        text: what to print; anything that `str` takes.
        style: of the whole text, such as "yellow".
    """
    console.print(plain(text, style), soft_wrap=True)


def show_table(console, columns, rows, title=""):
    """Print rows in columns; in a terminal too narrow for that, each row as a list of its own.

    Args:
        console: a `rich.console.Console`.
        columns: a name for each column.
        rows: list of rows, each with a text for each column; a text may have several lines.
        title: a line above the table.
    """
    rows = [[str(plain(cell)) for cell in row] for row in rows]
    lines = aligned([columns, *rows])
    if console.is_terminal and max(map(cell_len, lines)) > console.width:
        lines = [line for row in rows for line in _listed(columns, row)]
    show(console, "\n".join([title, *lines] if title else lines))


def aligned(rows):
    """Rows of texts as lines, their cells below one another.

    >>> aligned([["expert", "weight"], ["natural", "0.75"], ["artificial", "0.25"]])
    ['expert      weight', 'natural     0.75', 'artificial  0.25']
    """
    rows = [[cell.split("\n") for cell in row] for row in rows]
    columns = zip(*rows, strict=True)
    widths = [max(cell_len(line) for cell in column for line in cell) for column in columns]
    return [
        GAP.join(
            text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True)
        ).rstrip()
        for row in rows
        for line in zip_longest(*row, fillvalue="")
    ]


def _listed(columns, row):
    """The first cell as a heading, the others below it with their columns' names."""
    yield row[0]
    for name, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            below = f"\n{GAP * 2}"
            yield f"{GAP}{name}:{below if chr(10) in cell else ' '}" + cell.replace("\n", below)


class Words(TextColumn):
    """Words in a progress bar, as they are; in a narrow terminal they take several lines.

    Args:
        text_format: such as "{task.description}".
    """

    def __init__(self, text_format):
        super().__init__(text_format, table_column=Column(overflow="fold"))

    def render(self, task):
        return plain(self.text_format.format(task=task))
