"""Which files of this folder are not tests."""

# What the tests share. To look for doctests, pytest would import each a second time, by another
# name, and register its layers anew.
collect_ignore = [
    "gradients.py",
    "distribution/two_devices.py",
    "layer_contract.py",
    "mutations.py",
    "peers/swiglu_experts.py",
    "public_layers.py",
    "spark/fit_once.py",
    "spark_blobs.py",
    "sparse_gate.py",
    "toy_course.py",
]
