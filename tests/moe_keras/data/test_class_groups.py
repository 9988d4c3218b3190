import numpy as np
import pytest

from moe_keras import data


def test_groups_by_their_class_names():
    # Written out by hand from what the words mean.
    living = {"bird", "cat", "deer", "dog", "frog", "horse"}
    names = data.SPECS["cifar10"].class_names
    groups = data.groups("cifar10")
    assert list(groups) == ["natural", "artificial"]
    assert {names[i] for i in groups["natural"]} == living
    assert {names[i] for i in groups["artificial"]} == {"airplane", "automobile", "ship", "truck"}


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion_mnist"])
def test_every_class_is_in_one_of_two_groups(name):
    groups = data.groups(name)
    assert len(groups) == 2
    assert sorted(sum(groups.values(), ())) == list(range(10))
    assert len(data.SPECS[name].class_names) == 10


def test_digit_halves():
    assert data.groups("mnist") == {"0-4": (0, 1, 2, 3, 4), "5-9": (5, 6, 7, 8, 9)}


def test_groups_may_be_changed_by_the_caller():
    data.groups("cifar10").clear()
    assert len(data.groups("cifar10")) == 2


def test_group_labels_worked_by_hand():
    # airplane automobile bird cat deer dog frog horse ship truck
    labels = data.group_labels(np.arange(10), data.groups("cifar10"))
    assert labels.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert labels.dtype == np.int32


PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))


def test_group_labels_keep_the_shape_and_take_any_integers():
    labels = np.array([[0, 9], [3, 5]], np.uint8)
    assert data.group_labels(labels, PAIRS).tolist() == [[0, 4], [1, 2]]
    assert data.group_labels(np.zeros((0,), np.int64), PAIRS).shape == (0,)


@pytest.mark.parametrize(
    ("labels", "groups", "words"),
    [
        ([0, 7], [(0, 1), (2, 3)], r"labels \[7\].*none of"),
        ([0], [(0, 1), (1, 2)], "class id 1 twice"),
        ([[0.0, 1.0]], [(0, 1)], "integer class ids.*float64"),
        ([-1], [(0, 1)], r"labels \[-1\]"),
    ],
)
def test_group_labels_refuses(labels, groups, words):
    with pytest.raises(ValueError, match=words) as error:
        data.group_labels(labels, groups)
    assert "Received" in str(error.value)


def test_groups_of_an_unknown_dataset():
    with pytest.raises(ValueError, match=r"cifar10, mnist, fashion_mnist.*Received.*'cifar100'"):
        data.groups("cifar100")
