import keras
import numpy as np
import pytest

from moe_keras.evaluation.recording import record_calls

X = np.ones((2, 3), "float32")


def test_calls_in_the_order_in_which_they_began_with_what_went_in_and_out():
    inner = keras.layers.Dense(4)
    outer = keras.Sequential([inner, keras.layers.Dense(5)])
    outer.build(X.shape)
    with record_calls([inner, outer]) as calls:
        outer(X)
        inner(X)
    assert [call.layer for call in calls] == [outer, inner, inner]
    assert [tuple(call.output.shape) for call in calls] == [(2, 5), (2, 4), (2, 4)]
    assert all(tuple(call.inputs.shape) == (2, 3) for call in calls)


def test_nothing_is_recorded_afterwards_not_even_after_an_error():
    layer = keras.layers.Dense(4)
    layer.build(X.shape)
    with pytest.raises(ZeroDivisionError), record_calls([layer]) as calls:
        layer(X)
        raise ZeroDivisionError
    assert "call" not in vars(layer)
    layer(X)
    assert len(calls) == 1
