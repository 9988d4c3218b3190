"""Which files of this folder are not tests."""

# What the tests share. To look for doctests, pytest would import each a second time, by another
# name, and register its layers anew.
collect_ignore = ["gradients.py", "layer_contract.py", "mutations.py", "sparse_gate.py"]
