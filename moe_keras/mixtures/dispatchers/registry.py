"""The dispatchers by name, and which of them runs where."""

import keras

from moe_keras.mixtures.dispatchers.blocked import BlockedDispatcher
from moe_keras.mixtures.dispatchers.capacity import CapacityDispatcher
from moe_keras.mixtures.dispatchers.dense import DenseDispatcher
from moe_keras.mixtures.dispatchers.dispatcher import Dispatcher
from moe_keras.mixtures.dispatchers.grouped import GroupedDispatcher
from moe_keras.ops.compilers import needs_static_sizes

# "auto" takes the first that drops nothing, accepts the experts, and works where it runs.
DISPATCHERS = {
    "grouped": GroupedDispatcher,
    "blocked": BlockedDispatcher,
    "capacity": CapacityDispatcher,
    "dense": DenseDispatcher,
}


def candidates(dispatch, experts=None):
    """The dispatchers that may run for a `dispatch` argument, the preferred one first.

    Args:
        dispatch: "auto", a name from `DISPATCHERS`, or a `Dispatcher`.
        experts: the `ExpertSet`, or `None`. A stack is best run in one go, so that "auto" prefers
            "blocked" for it.

    Returns:
        Tuple of `Dispatcher`. Where the preferred one does not work another takes its place, which
        gives the same; for one that drops there is none.

    Raises:
        ValueError: if it is none of these.

    >>> [type(dispatcher).__name__ for dispatcher in candidates("grouped")]
    ['GroupedDispatcher', 'BlockedDispatcher', 'DenseDispatcher']
    """
    dropless = tuple(make() for make in DISPATCHERS.values() if not make.drops_tokens)
    if dispatch == "auto":
        stacked = experts is not None and experts.is_stacked
        return tuple(sorted(dropless, key=lambda d: stacked and type(d) is not BlockedDispatcher))
    if isinstance(dispatch, str) and dispatch in DISPATCHERS:
        dispatch = DISPATCHERS[dispatch]()
    if not isinstance(dispatch, Dispatcher):
        raise ValueError(
            f"Expected dispatch to be one of auto, {', '.join(DISPATCHERS)}, or a Dispatcher. "
            f"Received: dispatch={dispatch!r}"
        )
    others = () if dispatch.drops_tokens else dropless
    return (dispatch, *[other for other in others if type(other) is not type(dispatch)])


def first_that_works(dispatchers, routing, experts, tokens, mask=None, training=None):
    """The first of some dispatchers that works where the choices are, for these experts.

    Args:
        dispatchers: tuple of `Dispatcher`, as `candidates` gives it.
        routing: the `Routing`.
        experts, tokens, mask, training: what it will be called with.

    Raises:
        ValueError: if none does, or the preferred one works here, but not for these experts.
    """
    backend, compiled = keras.backend.backend(), needs_static_sizes(routing.indices)
    for dispatcher in dispatchers:
        if not dispatcher.accepts(experts) or not dispatcher.works_on(backend, compiled):
            continue
        objection = dispatcher.objection(experts, tokens, mask, training)
        if objection is None:
            return dispatcher
        if dispatcher is dispatchers[0]:
            raise ValueError(
                "Expected experts that answer each token by itself, for "
                f"{type(dispatcher).__name__}. Received: {objection}. Use dispatch='auto', or "
                "dispatch='dense'"
            )
    names = ", ".join(type(dispatcher).__name__ for dispatcher in dispatchers)
    where = f"{backend}, under a compiler" if compiled else backend
    raise ValueError(f"Expected a dispatcher that works on {where}. Received: {names}")
