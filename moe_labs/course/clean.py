"""Take out of an executed notebook what could act in the browser of whoever looks at it.

nbgrader's Formgrader shows students' notebooks from the address of the lecturer's own Jupyter, so a
script in one could do there all that the lecturer may.
"""

import base64
import binascii
import html
import re

import bleach
from nbgrader.preprocessors import ClearHiddenTests
from nbgrader.utils import is_grade, is_locked

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


def clean(notebook):
    """A notebook without active content, hidden tests, and what quotes these; changed in place.

    Kept are texts, pictures of pixels, and of HTML what has no effect but its looks.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cell.source = harmless(cell.source)
            for name, bundle in list(cell.get("attachments", {}).items()):
                kept = {kind: data for kind, data in bundle.items() if _is_picture(kind, data)}
                cell.attachments[name] = kept
            continue
        cell.outputs = [_output(output) for output in cell.outputs]
        if is_grade(cell) and is_locked(cell):
            _take_out_hidden_tests(cell)
    return notebook


def harmless(text):
    """Markdown or TeX in which no HTML is left, nor a link that runs something.

    >>> harmless("if a < b: <script>alert(1)</script>")
    'if a < b: &lt;script>alert(1)&lt;/script>'
    """
    text = TAG.sub("&lt;", text)
    if SCHEME.search(UNSEEN.sub("", html.unescape(html.unescape(text)))):
        text = text.replace("](", "] (").replace("]:", "] :")
        text = re.sub(r"<(?=\S)", "&lt;", text)
    return text


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


def _take_out_hidden_tests(cell):
    """Students read the executed copy as their feedback."""
    whole = cell.source
    ClearHiddenTests(enforce_metadata=False).preprocess_cell(cell, {}, 0)
    if cell.source != whole:
        for output in cell.outputs:
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]
