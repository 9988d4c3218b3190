"""The dispatchers by name, and which of them runs where."""

import keras

from moe_keras.mixtures.dispatchers.blocked import BlockedDispatcher
from moe_keras.mixtures.dispatchers.capacity import CapacityDispatcher
from moe_keras.mixtures.dispatchers.compilers import needs_static_sizes
from moe_keras.mixtures.dispatchers.dense import DenseDispatcher
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.grouped import GroupedDispatcher

# "auto" takes the first that drops nothing, accepts the experts, and works where it runs.
DISPATCHERS = {
    "grouped": GroupedDispatcher,
    "blocked": BlockedDispatcher,
    "capacity": CapacityDispatcher,
    "dense": DenseDispatcher,
}


# From so many experts on, a batched product for all beats a call for each: on TensorFlow a first
# step takes a fifth of the time with 128 experts, and a later one no more.
MANY = 128


def candidates(dispatch, experts=()):
    """The dispatchers that may run for a `dispatch` argument, the preferred one first.

    Args:
        dispatch: "auto", a name from `DISPATCHERS`, or a `Dispatcher`.
        experts: the `ExpertSet`, by whose number "auto" chooses.

    Returns:
        Tuple of `Dispatcher`. Where the preferred one does not work the dense one takes its place,
        unless that would undo drops.

    Raises:
        ValueError: if it is none of these.

    >>> [type(dispatcher).__name__ for dispatcher in candidates("blocked")]
    ['BlockedDispatcher', 'DenseDispatcher']
    """
    if dispatch == "auto":
        found = [make() for make in DISPATCHERS.values() if not make.drops_tokens]
        if len(experts) >= MANY:
            found = [d for d in found if d.accepts(experts)]
            found.sort(key=lambda d: not d.needs_expert_ids)  # stable
        return tuple(found)
    if isinstance(dispatch, str) and dispatch in DISPATCHERS:
        dispatch = DISPATCHERS[dispatch]()
    if not isinstance(dispatch, Dispatcher):
        raise ValueError(
            f"Expected dispatch to be one of auto, {', '.join(DISPATCHERS)}, or a Dispatcher. "
            f"Received: dispatch={dispatch!r}"
        )
    return (dispatch,) if dispatch.drops_tokens else (dispatch, DenseDispatcher())


def first_that_works(dispatchers, indices, experts):
    """The first of some dispatchers that accepts the experts and works where the choices are.

    Raises:
        ValueError: if none does.
    """
    backend, compiled = keras.backend.backend(), needs_static_sizes(indices)
    for dispatcher in dispatchers:
        if dispatcher.accepts(experts) and dispatcher.works_on(backend, compiled):
            return dispatcher
    names = ", ".join(type(dispatcher).__name__ for dispatcher in dispatchers)
    where = f"{backend}, under a compiler" if compiled else backend
    raise ValueError(f"Expected a dispatcher that works on {where}. Received: {names}")
