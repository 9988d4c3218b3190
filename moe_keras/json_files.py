"""Reading one JSON file without trusting it: it may be whole and still not what it should be."""

import json
from pathlib import Path

NUMBER = int | float


def read_json(path, shape, advice=""):
    """The content of a JSON file of a known shape.

    Args:
        path: Path of the file.
        shape: A type or union of types; a list with the shape of each item; or a dictionary with
            the shape at each key, where a key with "?" at its end may be missing.
        advice: String, a sentence that says what to do if the file will not do.

    Returns:
        The content. A dictionary may have further keys.

    Raises:
        OSError: if the file is missing or cannot be read.
        ValueError: if it is damaged or of another shape.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no text, no JSON, or too long a number
        raise ValueError(
            f"Expected a JSON file. Received: {path}, which is damaged ({error}). {advice}".strip()
        ) from None
    fault = misfit(content, shape)
    if fault:
        raise ValueError(
            f"Expected {path.name} as moe_keras writes it. Received: {path}, which is damaged: "
            f"{fault}. {advice}".strip()
        )
    return content


def misfit(content, shape, where="the content"):
    """Where content is not of a shape, in words; `None` if it is.

    >>> misfit({"labels": [1, "a"]}, {"labels": [int], "title?": str})
    "item 1 of 'labels' is of type str"
    """
    if isinstance(shape, dict):
        if not isinstance(content, dict):
            return f"{where} is of type {type(content).__name__}"
        for key, inner in shape.items():
            name = key.removesuffix("?")
            if name in content:
                fault = misfit(content[name], inner, f"'{name}'")
                if fault:
                    return fault
            elif name == key:
                return f"'{name}' is missing"
        return None
    if isinstance(shape, list):
        if not isinstance(content, list):
            return f"{where} is of type {type(content).__name__}"
        faults = (misfit(item, shape[0], f"item {i} of {where}") for i, item in enumerate(content))
        return next(filter(None, faults), None)
    truth = isinstance(content, bool) and shape in (int, float, NUMBER)
    if truth or not isinstance(content, shape):
        return f"{where} is of type {type(content).__name__}"
    return None
