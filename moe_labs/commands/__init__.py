"""The command ``moe-labs``: one topic a file."""
