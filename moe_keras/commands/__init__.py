"""The command ``moe-keras``: one topic a file."""
