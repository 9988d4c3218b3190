"""A layer with another function as an attribute for a while, for the thread that asks alone."""

import contextlib
import threading

_LOCK = threading.Lock()
_USES = {}  # (id of a layer, name): how many uses are open, in all threads
_MINE = threading.local()


@contextlib.contextmanager
def changed(layer, name, make):
    """A layer with another function of this name, past Keras's `__setattr__`, which may be closed.

    Models are called from several threads at once, by servers and by `tf.distribute`, and each has
    rows of its own. So the attribute becomes one function that asks whose turn it is, and goes when
    its last user does.

    Args:
        layer: Keras layer.
        name: String, an attribute that can be called.
        make: Function from what the attribute is to this thread to what it shall be.
    """
    key = (id(layer), name)
    with _LOCK:
        if key not in _USES:
            _USES[key] = _Use(layer, name)
        use = _USES[key]
        use.count += 1
    mine = vars(_MINE).setdefault(key, [])
    try:
        mine.append(make(mine[-1] if mine else use.original))
        try:
            yield
        finally:
            mine.pop()
    finally:
        if not mine:
            del vars(_MINE)[key]
        with _LOCK:
            use.count -= 1
            if use.count == 0:
                use.end()
                del _USES[key]


class _Use:
    """An attribute while it is changed."""

    def __init__(self, layer, name):
        self.layer, self.name, self.count = layer, name, 0
        self.original = original = getattr(layer, name)
        self.had = name in vars(layer)
        key = (id(layer), name)

        def whose(*args, **kwargs):
            mine = vars(_MINE).get(key)
            return (mine[-1] if mine else original)(*args, **kwargs)

        object.__setattr__(layer, name, whose)

    def end(self):
        if self.had:
            object.__setattr__(self.layer, self.name, self.original)
        else:
            object.__delattr__(self.layer, self.name)
