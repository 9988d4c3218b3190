"""Rows of a benchmark are kept as they are made."""

import pytest

from benchmarks.rows import write_rows


def test_rows_are_added_under_one_head(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    write_rows(path, ("E", "ratio"), [(4, "1.05")])
    write_rows(path, ("E", "ratio"), iter([(16, "1.34"), (64, "1.64")]))
    assert path.read_text().splitlines() == ["E,ratio", "4,1.05", "16,1.34", "64,1.64"]
    assert capsys.readouterr().out.splitlines() == ["4  1.05", "16  1.34", "64  1.64"]
    write_rows(path, ("E", "ratio"), [(1, "1.00")], mode="w")
    assert path.read_text().splitlines() == ["E,ratio", "1,1.00"]


def test_what_was_measured_is_kept_when_measuring_stops(tmp_path):
    path = tmp_path / "rows.csv"

    def rows():
        yield 4, "1.05"
        assert path.read_text().splitlines()[-1] == "4,1.05"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, ("E", "ratio"), rows())
    assert path.read_text().splitlines() == ["E,ratio", "4,1.05"]
