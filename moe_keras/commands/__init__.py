"""The groups of commands of ``moe-keras`` that are too large for one file, one module each."""
