"""``python -m moe_keras`` is the command ``moe-keras``."""

from moe_keras.commands.main import main

main()
