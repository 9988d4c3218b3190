"""The groups of subcommands of ``moe-keras`` that are too long for `cli.py`."""
