import pytest

from moe_keras.runs import assignment_matrix
from moe_keras.runs.assignment import even_assignment, parse_assignment


def test_an_even_split_that_does_not_come_out_even():
    assert even_assignment(5, 2) == ((0, 1, 2), (3, 4))


def test_more_experts_than_labels():
    with pytest.raises(ValueError, match=r"at least one label.*Received: 11 experts and 10"):
        even_assignment(10, 11)


def test_what_is_written_is_read():
    groups = parse_assignment("3, 0|1|2,4", num_classes=5, num_experts=3)
    assert groups == ((3, 0), (1,), (2, 4))
    assert assignment_matrix(groups).argmax(axis=1).tolist() == [0, 1, 2, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1|1,2", r"twice: \[1\]"),
        ("0|1", r"missing: \[2\]"),
        ("0,1|2,3", r"out of range: \[3\]"),
        ("0,-1|1,2", r"out of range: \[-1\]"),
        ("0,1,2", "1 groups"),
        ("0,1||2", "as in"),
        ("a|b", "as in"),
    ],
)
def test_what_is_no_assignment(text, message):
    with pytest.raises(ValueError, match=message):
        parse_assignment(text, num_classes=3, num_experts=2)
