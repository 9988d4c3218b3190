"""``python -m moe_labs`` is the command ``moe-labs``."""

from moe_labs.commands.main import main

main()
