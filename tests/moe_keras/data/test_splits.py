import numpy as np
import pytest

from moe_keras.data.splits import split_validation, thin

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def test_split_is_disjoint_complete_and_stratified():
    kept, held_out = split_validation(LABELS, 20, seed=0)
    assert sorted([*kept, *held_out]) == list(range(100))
    # A fifth of 60, 30 and 10.
    assert np.bincount(LABELS[held_out]).tolist() == [12, 6, 2]


def test_split_rounds_by_largest_remainder():
    _, held_out = split_validation(LABELS, 11, seed=0)
    # Exact shares 6.6, 3.3, 1.1: six, three, one, and the eleventh goes to the class with .6.
    assert np.bincount(LABELS[held_out]).tolist() == [7, 3, 1]


def test_split_depends_on_the_seed_alone():
    first, again, other = (split_validation(LABELS, 20, seed)[1] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_every_class_keeps_a_training_image():
    kept, held_out = split_validation(LABELS, 97, seed=0)
    assert np.bincount(LABELS[kept]).tolist() == [1, 1, 1]
    assert len(held_out) == 97


def test_no_validation():
    kept, held_out = split_validation(LABELS, 0, seed=0)
    assert len(kept) == 100
    assert held_out.shape == (0,)


@pytest.mark.parametrize("count", [-1, 98, 100, 2.5, True, "10", None])
def test_split_refuses(count):
    with pytest.raises(ValueError, match=r"`validation`.*0 to 97.*Received: validation=") as error:
        split_validation(LABELS, count, seed=0)
    assert repr(count) in str(error.value)


def test_thin_keeps_each_class_share():
    few = thin(LABELS, 0.1, seed=0)
    assert np.bincount(LABELS[few]).tolist() == [6, 3, 1]
    assert few.tolist() == sorted(set(few.tolist()))


def test_thin_keeps_one_of_each_class():
    assert np.bincount(LABELS[thin(LABELS, 0.001, seed=0)]).tolist() == [1, 1, 1]


def test_thin_whole_and_empty():
    assert len(thin(LABELS, 1, seed=0)) == 100
    assert thin(np.zeros(0, int), 0.5, seed=0).shape == (0,)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, 500, True, "half", float("nan")])
def test_thin_refuses(fraction):
    with pytest.raises(ValueError, match=r"`subset`.*fraction above 0.*Received: subset="):
        thin(LABELS, fraction, seed=0)
