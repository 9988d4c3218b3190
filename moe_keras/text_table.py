"""Tables that print in a terminal and show in a notebook."""

import html

from moe_common.terminal import aligned


class TextTable:
    """Rows of text under column names.

    Args:
        columns: Sequence of strings, a name for each column.
        rows: List of rows, each with a string for each column.

    >>> print(TextTable(["expert", "weight"], [["natural", "0.75"], ["artificial", "0.25"]]))
    expert      weight
    natural     0.75
    artificial  0.25
    """

    def __init__(self, columns, rows):
        self.columns = list(columns)
        self.rows = [[str(cell) for cell in row] for row in rows]

    def __str__(self):
        return "\n".join(aligned([self.columns, *self.rows]))

    def to_html(self):
        """As an HTML table."""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
