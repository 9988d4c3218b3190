"""PyTorch before TensorFlow: the other way round, the two end the process in a crash."""

import contextlib

with contextlib.suppress(ImportError):
    import torch  # noqa: F401
    import transformers.activations  # noqa: F401
collect_ignore = ["swiglu_experts.py"]
