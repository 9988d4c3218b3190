"""Nothing in an executed copy acts in the browser of whoever looks at it."""

import functools
from html.parser import HTMLParser

import hypothesis.strategies as st
import nbformat
import pytest
from hypothesis import given, settings
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell
from nbgrader.utils import determine_grade

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
        "[x](javascript\\:ATTACK)",
        "[x](javascript\\&colon;ATTACK)",
        "[x](java\\&#115;cript:ATTACK)",
    ),
    *("[x]: javascript\\:ATTACK\n\n[x]", "[x](<javascript\\:ATTACK>)", "![x](vbscript\\:ATTACK)"),
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


@functools.cache
def exporter():
    return HTMLExporter(template_name="basic")


def page_of(notebook):
    """The page that nbconvert makes of a notebook's cells."""
    return exporter().from_notebook_node(notebook)[0]


def shown(notebook):
    """What is active on a notebook's page."""
    parser = Active()
    parser.feed(page_of(notebook))
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


LINKS = ["[x](javascript:A)", "[x](<javascript:A>)", "[x]: javascript:A\n\n[x]", "![x](vbscript:A)"]
LINKS += ["[x](data:text/html,A)", "[x]: <javascript:A> 'x'\n\n[x]", "> [x](javascript:A)"]


@st.composite
def disguised(draw):
    """A link that runs something, with entities for some of its letters, and backslashes."""
    text = draw(st.sampled_from(LINKS))
    for letter in draw(st.lists(st.sampled_from(":jcpt"), max_size=3)):
        spelled = st.sampled_from(
            [f"&#{ord(letter)};", f"&#x{ord(letter):x};", f"\\&#{ord(letter)};"]
        )
        place = text.find(letter, 4)
        text = text[:place] + draw(spelled) + text[place + 1 :] if place > 0 else text
    for place in draw(st.lists(st.integers(0, 40), max_size=3)):
        text = text[:place] + draw(st.sampled_from(["\\", "\\\\"])) + text[place:]
    return text


@settings(max_examples=120, deadline=None)
@given(disguised())
def test_no_disguised_link_acts(text):
    assert shown(clean(new_notebook(cells=[new_markdown_cell(text)]))) == []


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "\\" in attack])
def test_disguised_links_act_where_they_are_not_cleaned(attack):
    assert len(shown(new_notebook(cells=[new_markdown_cell(attack)]))) == 1


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


HIDDEN = "assert softmax(-10) == [7, '8']"
WORD = "0123456789abcdef"


def executed(outputs, of_the_test=()):
    """A notebook with a test that has a hidden line, and after it a cell with outputs."""
    source = f"check()\n### BEGIN HIDDEN TESTS\n{HIDDEN}\n    \n### END HIDDEN TESTS"
    marks = {"grade": True, "locked": True, "solution": False, "grade_id": "a", "points": 2}
    test = new_code_cell(source, metadata={"nbgrader": marks}, outputs=list(of_the_test))
    return new_notebook(cells=[new_code_cell("x", outputs=list(outputs)), test])


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def quotations(secret):
    """Outputs that show a text in plain words."""
    half = len(secret) // 2
    coloured = f"\x1b[38;5;1m{secret[:half]}\x1b[0m{secret[half:]}"
    escaped = secret.replace("'", "&#39;")
    error = {"ename": "E", "evalue": "no", "traceback": ["E: no"]}
    return {
        "printed": [stream(f"before\n{secret}\nafter")],
        "as a list": [stream(repr(["x", f"\n{secret}\n"]))],
        "in quotation marks twice": [stream(repr(repr(f"\n{secret}\n")))],
        "in colours": [stream(coloured)],
        "indented": [stream(f"        {secret}")],
        "in two streams": [stream(secret[:half]), stream(secret[half:], "stderr")],
        "as a result": [new_output("execute_result", {"text/plain": repr(secret)})],
        "as HTML": [new_output("display_data", {"text/html": f"<pre>{escaped}</pre>"})],
        "as HTML in colours": [
            new_output("display_data", {"text/html": f"{escaped[:2]}<b>{escaped[2:]}</b>"})
        ],
        "as Markdown": [new_output("display_data", {"text/markdown": f"`{secret}`"})],
        "as JSON": [new_output("display_data", {"application/json": {"a": [secret]}})],
        "in an error": [new_output("error", **{**error, "evalue": secret})],
        "in a traceback": [new_output("error", **{**error, "traceback": ["x", coloured]})],
        "in an error's name": [new_output("error", **{**error, "ename": secret})],
    }


@pytest.mark.parametrize("secret", [HIDDEN, WORD])
@pytest.mark.parametrize("how", quotations(""))
@pytest.mark.parametrize("of_the_test", [False, True])
def test_no_output_quotes_a_hidden_test_or_the_word(monkeypatch, secret, how, of_the_test):
    monkeypatch.setenv("MOE_KERAS_GRADING", WORD)
    outputs = quotations(secret)[how]
    notebook = executed(*([[], outputs] if of_the_test else [outputs]))
    kinds = [output.output_type for output in outputs]
    clean(notebook)
    nbformat.validate(notebook)
    left = nbformat.writes(notebook)
    # Of a test's own tracebacks no line is kept, whatever they say.
    assert "left out" in left or (of_the_test and how == "in a traceback")
    assert secret not in left and "softmax(-10)" not in left and WORD not in left
    assert "softmax(-10)" not in page_of(notebook) and WORD not in page_of(notebook)
    (cell,) = [cell for cell in notebook.cells if cell.outputs]
    assert [output.output_type for output in cell.outputs] == kinds


@pytest.mark.parametrize(
    "outputs",
    [
        [new_output("error", ename="E", evalue=HIDDEN, traceback=[HIDDEN])],
        [new_output("execute_result", {"text/plain": "1", "text/html": f"<p>{HIDDEN}</p>"})],
        [new_output("execute_result", {"text/plain": "0.5"}), stream(HIDDEN)],
    ],
    ids=["an error", "a number with another face", "a number after a quotation"],
)
def test_leaving_out_changes_no_mark(outputs):
    notebook = executed([], outputs)
    before = determine_grade(notebook.cells[1])
    assert determine_grade(clean(notebook).cells[1]) == before
    assert before[0] < before[1]


def test_other_outputs_stay():
    outputs = [
        stream("check() END softmax\n"),
        new_output("error", ename="E", evalue="no", traceback=["E: no"]),
        new_output("execute_result", {"text/plain": "[7, '8']"}),
    ]
    before = [dict(output) for output in outputs]
    assert list(map(dict, clean(executed(outputs)).cells[0].outputs)) == before
