import pytest

from benchmarks.labs_time import measured


def lab(number, minutes, gigabytes, error=""):
    about = {"lab": number, "title": "sums", "minutes": minutes, "gigabytes": gigabytes}
    return about | {"error": error, "figures": {"data": "MNIST"}, "verdicts": {}}


def test_minutes_add_up_and_the_largest_memory_counts():
    kept = measured({"quick": False, "labs": [lab("01", 5.5, 2.5), lab("02", 2.25, 1.5)]})
    assert (kept["minutes"], kept["gigabytes"]) == (7.75, 2.5)
    assert kept["labs"][1]["minutes"] == 2.25
    assert kept["labs"][1]["data"] == "MNIST"


@pytest.mark.parametrize(
    ("summary", "received"),
    [
        ({"quick": True, "labs": [lab("01", 1, 1)]}, "quick: True"),
        ({"quick": False, "labs": [lab("01", 1, 1), lab("02", 1, 1, "it broke")]}, "labs: 02"),
    ],
)
def test_a_run_that_says_nothing_of_the_time_is_refused(summary, received):
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        measured(summary)
