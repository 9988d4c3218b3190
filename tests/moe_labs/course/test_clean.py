"""Nothing in an executed copy acts in the browser of whoever looks at it."""

from html.parser import HTMLParser

import hypothesis.strategies as st
import nbformat
import pytest
from hypothesis import given, settings
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from moe_labs.course.clean import clean, harmless

ATTACKS = [
    *("<script>ATTACK</script>", "<img src=x onerror=ATTACK>", "<svg/onload=ATTACK>"),
    *("<a href='javascript:ATTACK'>x</a>", "<iframe srcdoc='<script>ATTACK</script>'></iframe>"),
    *("[x](javascript:ATTACK)", "[x](java&#115;cript:ATTACK)", "[x]: javascript:ATTACK\n\n[x]"),
    *(
        "<java\tscript:ATTACK>",
        "<javascript:ATTACK>",
        "![x](data:text/html,ATTACK)",
        "<!--><img>-->",
    ),
    *(
        "<math><mtext></form><form><mglyph><style></math><img src onerror=ATTACK>",
        "<object data=x>",
    ),
    *(
        "$$<script>ATTACK</script>$$",
        "```html\n<script>ATTACK</script>\n```",
        "<x\nonclick=ATTACK>",
    ),
]
KINDS = ["text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "text/plain"]
KINDS += ["application/javascript", "made/up"]
WIDGET = "application/vnd.jupyter.widget-view+json"


class Active(HTMLParser):
    """Finds what would act, in the part of a page that is a student's."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        names = {name for name, _ in attrs if name.startswith("on")}
        links = [value or "" for name, value in attrs if name in ("href", "src", "data", "srcdoc")]
        packed = ["".join(link.split()).lower() for link in links]
        bad = [x for x in packed if x.startswith(("javascript:", "vbscript:", "data:text"))]
        if names or bad or tag in ("script", "iframe", "object", "embed", "form", "svg", "style"):
            self.found.append((tag, attrs))


def shown(notebook):
    """What is active on the page that nbconvert makes of a notebook's cells."""
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    parser = Active()
    parser.feed(page)
    return parser.found


def with_everything(texts):
    """A notebook with these texts everywhere where a student can put one."""
    cells = [cell for text in texts for cell in (new_markdown_cell(text), new_raw_cell(text))]
    for text in texts:
        outputs = [new_output("display_data", {kind: text}) for kind in KINDS]
        outputs.append(new_output("display_data", {WIDGET: {"model_id": text}}))
        outputs.append(new_output("stream", name="stdout", text=text))
        outputs.append(new_output("error", ename=text, evalue=text, traceback=[text]))
        outputs[0].metadata = {"image/png": {"width": '1" onload="ATTACK'}}
        cells.append(new_code_cell(text, outputs=outputs))
    cells.append(new_markdown_cell("x", attachments={"a": {"image/png": '"onload=ATTACK'}}))
    return new_notebook(cells=cells)


def test_the_attacks_act_where_they_are_not_cleaned():
    assert len(shown(with_everything(ATTACKS))) > 5


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_acts(attack):
    notebook = clean(with_everything([attack]))
    nbformat.validate(notebook)
    assert shown(notebook) == []


PIECES = st.lists(
    st.sampled_from(
        ["<", ">", "script", "img", " ", "onerror=", "x", "/", "'", '"', "](", "[", "`"]
    )
    | st.sampled_from(
        ["javascript", ":", "&#58;", "&lt;", "<!--", "-->", "\n", "\t", "\0", "$", "\\"]
    )
)


@settings(max_examples=60, deadline=None)
@given(PIECES.map("".join))
def test_nothing_that_is_made_of_pieces_acts(text):
    assert shown(clean(with_everything([text]))) == []


def test_what_does_no_harm_stays():
    table = "<table><tbody><tr><td>1</td></tr></tbody></table>"
    notebook = new_notebook(
        cells=[
            new_markdown_cell("$a < b$, **bold**, [link](https://example.org), `x < y`"),
            new_code_cell(
                "1",
                outputs=[
                    new_output("display_data", {"text/html": table, "image/png": "aGVsbG8="}),
                    new_output("stream", name="stdout", text="<b>text</b>"),
                ],
            ),
        ]
    )
    before = notebook.cells[0].source
    clean(notebook)
    assert notebook.cells[0].source == before
    assert notebook.cells[1].outputs[0].data == {"text/html": table, "image/png": "aGVsbG8="}
    assert notebook.cells[1].outputs[1].text == "<b>text</b>"
    assert harmless("1 < 2") == "1 < 2"


def test_hidden_tests_are_not_in_the_feedback():
    source = "check()\n### BEGIN HIDDEN TESTS\nassert secret\n### END HIDDEN TESTS"
    trace = ["---> assert secret", "AssertionError: "]
    error = new_output("error", ename="AssertionError", evalue="no", traceback=trace)
    marks = {"grade": True, "locked": True, "solution": False, "grade_id": "a", "points": 1}
    cell = new_code_cell(source, metadata={"nbgrader": marks}, outputs=[error])
    notebook = clean(new_notebook(cells=[cell]))
    assert "secret" not in nbformat.writes(notebook)
    assert notebook.cells[0].outputs[0].traceback == ["AssertionError: no"]
