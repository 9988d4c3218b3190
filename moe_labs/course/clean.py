"""Take out of an executed notebook what could act in the browser of whoever looks at it.

nbgrader's Formgrader shows students' notebooks from the address of the lecturer's own Jupyter, so a
script in one could do there all that the lecturer may.
"""

import base64
import binascii
import html
import os
import re

import bleach
from nbgrader.preprocessors import ClearHiddenTests
from nbgrader.utils import is_grade, is_locked

from moe_labs.exercises.exercise import COURSE_WORD

TAGS = {
    *("a", "b", "blockquote", "br", "code", "dd", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4"),
    *("h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table"),
    *("caption", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "img"),
}
ATTRIBUTES = {
    "*": ["class", "title"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan"],
}
PICTURES = ("image/png", "image/jpeg", "image/gif")
SCHEME = re.compile(r"(javascript|vbscript|data)\s*:", re.IGNORECASE)
TAG = re.compile(r"<(?=[A-Za-z/!?])")
UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f]+")
# What a text may be dressed in without another word in it: colours, spaces, marks of quotation.
DRESS = re.compile(r"\x1b\[[0-9;]*m|[\s\\'\"]+")
MARKUP = re.compile(r"<[^<>]*>")
TELLING = 8  # a hidden line of fewer characters, such as `else:`, tells nothing
LEFT_OUT = "[left out: it shows what the tests hide]"


def clean(notebook):
    """A notebook without active content, hidden tests, and what quotes these; changed in place.

    Kept are texts, pictures of pixels, and of HTML what has no effect but its looks. A quotation is
    found where it stands in plain words: a picture of one, or one in code, is not.
    """
    notebook.metadata.pop("widgets", None)
    secrets = _take_out_hidden_tests(notebook)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cell.source = harmless(cell.source)
            for name, bundle in list(cell.get("attachments", {}).items()):
                kept = {kind: data for kind, data in bundle.items() if _is_picture(kind, data)}
                cell.attachments[name] = kept
            continue
        _silence(cell.outputs, secrets)
        cell.outputs = [_output(output) for output in cell.outputs]
    return notebook


def harmless(text):
    """Markdown or TeX in which no HTML is left, nor a link that runs something.

    >>> harmless("if a < b: <script>alert(1)</script>")
    'if a < b: &lt;script>alert(1)&lt;/script>'
    """
    text = TAG.sub("&lt;", text)
    if any(SCHEME.search(UNSEEN.sub("", reading)) for reading in _readings(text)):
        text = text.replace("](", "] (").replace("]:", "] :")
        text = re.sub(r"<(?=\S)", "&lt;", text)
    return text


def _readings(text):
    """What a text may come to: a renderer drops backslashes and spells out entities, in turns."""
    readings = {text}
    for _ in range(2):
        readings |= {reading.replace("\\", "") for reading in readings}
        readings |= {html.unescape(reading) for reading in readings}
    return readings | {reading.replace("\\", "") for reading in readings}


def _output(output):
    if "data" not in output:
        return output
    data = {}
    for kind, content in output.data.items():
        content = "".join(content) if isinstance(content, list) else content
        if kind == "text/plain":
            data[kind] = content
        elif kind == "text/html" and isinstance(content, str):
            data[kind] = bleach.clean(
                content, tags=TAGS, attributes=ATTRIBUTES, protocols=["http", "https"], strip=True
            )
        elif kind in ("text/markdown", "text/latex") and isinstance(content, str):
            data[kind] = harmless(content)
        elif _is_picture(kind, content):
            data[kind] = content
    if not data:
        data = {"text/plain": "[left out: " + ", ".join(sorted(output.data))[:200] + "]"}
    output.data, output.metadata = type(output)(data), type(output)()
    return output


def _is_picture(kind, content):
    if kind not in PICTURES or not isinstance(content, str):
        return False
    try:
        base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _take_out_hidden_tests(notebook):
    """Take them out of the sources and of their own tracebacks; what no output may quote.

    Students read the executed copy as their feedback. That is each hidden line that they see
    nowhere else, and the course's word, both undressed.
    """
    hidden, shown = set(), set()
    for cell in notebook.cells:
        whole = cell.source
        if cell.cell_type == "code" and is_grade(cell) and is_locked(cell):
            ClearHiddenTests(enforce_metadata=False).preprocess_cell(cell, {}, 0)
            if cell.source != whole:
                for output in cell.outputs:
                    if output.output_type == "error":
                        output.traceback = [f"{output.ename}: {output.evalue}"]
        lines = set(map(_undressed, cell.source.splitlines()))
        hidden |= set(map(_undressed, whole.splitlines())) - lines
        shown |= lines
    secrets = hidden - shown | {os.environ.get(COURSE_WORD, "")}
    return {secret for secret in secrets if len(secret) >= TELLING}


def _undressed(text):
    return DRESS.sub("", html.unescape(text))


def _silence(outputs, secrets):
    """Empty the outputs that quote a secret. None goes: a test's errors and numbers are marks."""

    def quotes(text):
        readings = _undressed(text), _undressed(MARKUP.sub("", text))
        return any(secret in reading for secret in secrets for reading in readings)

    said = "".join(output.text for output in outputs if output.output_type == "stream")
    said_aloud = quotes(said)
    for output in outputs:
        if output.output_type == "stream":
            if said_aloud:
                output.text = f"{LEFT_OUT}\n"
        elif output.output_type == "error":
            if quotes("\n".join([output.ename, output.evalue, *output.traceback])):
                output.ename = "Error" if quotes(output.ename) else output.ename
                output.evalue, output.traceback = LEFT_OUT, [f"{output.ename}: {LEFT_OUT}"]
        elif quotes("\n".join(map(str, output.data.values()))):
            plain = str(output.data.get("text/plain", ""))
            kept = LEFT_OUT if quotes(plain) or not plain else plain
            output.data = type(output)({"text/plain": kept})
