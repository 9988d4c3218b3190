"""Rows of a benchmark, kept and shown as they are made: a benchmark that is stopped loses none."""

import csv


def write_rows(path, columns, rows, mode="a"):
    """Write each row to a CSV file and print it, as soon as it is there.

    Args:
        path: path of the file.
        columns: names of the columns, the head of a file that is empty.
        rows: iterable of rows; measuring goes on while it is read.
        mode: `"a"` to add to what the file has, `"w"` to begin it anew.
    """
    with open(path, mode, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(columns)
        for row in rows:
            writer.writerow(row)
            file.flush()
            print(*row, sep="  ", flush=True)
