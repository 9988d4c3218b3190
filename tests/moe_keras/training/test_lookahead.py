import keras
import numpy as np

from moe_keras.training._lookahead import Lookahead


def test_a_loop_in_numpy():
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(
        np.ones((7, 1)), np.zeros(7), batch_size=1, verbose=0, callbacks=[Lookahead(10, every=3)]
    )
    w = slow = 1.0
    for step in range(1, 8):
        w -= 0.1 * 2 * w
        if step % 3 == 0:
            pull = 0.95**3 * (step / 10) ** 3
            w = slow = pull * slow + (1 - pull) * w
    np.testing.assert_allclose(model.get_weights()[0], [[w]], rtol=1e-5)


def test_it_goes_on_counting_in_later_epochs():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    lookahead = Lookahead(10, every=3)
    for epoch in range(2):
        model.fit(
            *(np.ones((4, 1)), np.zeros(4)),
            batch_size=1,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
            callbacks=[lookahead],
        )
    assert lookahead._step == 8
