"""Keras with what it runs on, or a message that says what to install."""

from moe_common.install import install_advice

EXTRAS = ("tensorflow", "jax", "torch")

try:
    import keras  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in EXTRAS:
        raise
    raise ModuleNotFoundError(
        f"Expected {error.name}, the backend that Keras is set to. Received: it is not installed. "
        f"Install it with {install_advice(error.name)}, or choose another of {', '.join(EXTRAS)}: "
        "install that extra and set KERAS_BACKEND to its name.",
        name=error.name,
    ) from None
