"""Whatever a kernel sends, no more of it is kept than a cell may say; what marks need is."""

import json

import nbformat
import pytest
from nbclient.exceptions import CellExecutionComplete
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.utils import determine_grade
from toy_course import marks

from moe_labs.course import execute
from moe_labs.course.execute import ConfinedExecute
from moe_labs.course.limits import MEGABYTE, Limits
from moe_labs.course.sandbox import Sandbox

MOST = 0.1 * MEGABYTE
TEXT = "x" * 30_000


def message(kind, buffers=(), **content):
    header = {"msg_type": kind}
    ours = {"parent_header": {"msg_id": "1"}, "buffers": list(buffers)}
    return {"header": header, "msg_type": kind, "content": content, **ours}


def shown(kind="display_data", data=None, metadata=None, **more):
    return message(kind, data=data or {}, metadata=metadata or {}, **more)


def error(text="", name="Error", lines=()):
    return message("error", ename=name, evalue=text, traceback=list(lines))


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def widget(number, **data):
    state = {"_model_module": "none", "_model_name": "none", "value": TEXT}
    return message("comm_open", comm_id=str(number), data={"state": state, **data})


# Of each the last is as long as the first: together they are far too much.
FLOODS = {
    "text": lambda n: message("stream", name="stdout", text=TEXT),
    "text on stderr": lambda n: message("stream", name="stderr", text=TEXT),
    "pictures": lambda n: shown(data={"image/png": TEXT}),
    "metadata": lambda n: shown(metadata={"image/png": {"title": TEXT}}),
    "names in metadata": lambda n: shown(metadata={f"{n}{TEXT}": 1}),
    "lists in metadata": lambda n: shown(metadata={"a": [[]] * 20_000}),
    "numbers in metadata": lambda n: shown(metadata={"a": [10**9] * 5_000}),
    "names of kinds": lambda n: shown(data={f"{n}{TEXT}": ""}),
    "JSON": lambda n: shown(data={"application/json": {"a": [TEXT]}}),
    "results": lambda n: shown("execute_result", {"text/plain": TEXT}, execution_count=1),
    "a result's metadata": lambda n: shown("execute_result", {}, {"a": TEXT}, execution_count=1),
    "errors": lambda n: error(TEXT),
    "names of errors": lambda n: error(name=TEXT),
    "tracebacks": lambda n: error(lines=[TEXT]),
    "lines of tracebacks": lambda n: error(lines=[""] * 30_000),
    "small errors": lambda n: error("short"),
    "nothing": lambda n: shown(),
    "empty lines": lambda n: message("stream", name="stdout", text="\n"),
    "names of displays": lambda n: shown(transient={"display_id": f"{n}{TEXT}"}),
    "changed displays": lambda n: shown(
        "update_display_data" if n else "display_data",
        {"text/plain": TEXT},
        transient={"display_id": "one"},
    ),
    "widgets": widget,
    "bytes of widgets": lambda n: message(
        "comm_open",
        [b"x" * 30_000],
        comm_id=str(n),
        data={"state": {"_model_module": "", "a": 1}, "buffer_paths": [{"path": ["a"]}]},
    ),
    "what is no count": lambda n: message("status", execution_state="busy", execution_count=TEXT),
    "nested metadata": lambda n: shown(metadata={"a": nested(400)}),
    "what nothing can go through": lambda n: shown(metadata={"a": nested(2_000)}),
}
ODD = {
    "text that is none": message("stream", name="stdout", text=[1]),
    "a stream without a name": message("stream", text="a"),
    "a stream of another name": message("stream", name="stdin", text="a"),
    "data that are none": message("display_data", data=3, metadata={}),
    "data of no text": shown(data={"text/plain": 3}),
    "no data": message("display_data"),
    "a result without a count": shown("execute_result", {"text/plain": "1"}),
    "a state that is missing": message("status"),
    "an unknown kind": message("unknown", data={}),
    "a message to no widget": message("comm_msg", data={}),
    "a widget without data": message("comm_open"),
    "content that is none": {**message("stream"), "content": [1]},
}


@pytest.fixture
def confined(tmp_path):
    """A function that sends messages for a cell, and gives the client, which has kept them."""

    def send(cell, messages, output_mb=0.1):
        client = ConfinedExecute(Sandbox(tmp_path, False, Limits(output_mb=output_mb)), [])
        client.nb = new_notebook(cells=[cell])
        client.reset_execution_trackers()
        client.clear_before_next_output = False
        client.room_for_all = execute.FULL_CELLS * client._most()
        client._make_room()
        for each in messages:
            client.process_message(each, cell, 0)
        client.set_widgets_metadata()
        return client

    return send


def a_cell(**about):
    return new_code_cell(metadata={"execution": {}, **about})


def a_test():
    return a_cell(**marks("check", grade=True, locked=True, points=5))


def kept(client):
    """Characters of all that a client has kept, in the notebook and beside it."""
    beside = [client.widget_state, client.widget_buffers, client._display_id_map]
    return len(json.dumps([client.nb, *map(str, beside)]))


@pytest.mark.parametrize("flood", FLOODS)
def test_no_flood_is_kept(confined, flood):
    many = 3_000 if flood in ("nothing", "empty lines", "small errors") else 40
    client = confined(a_cell(), (FLOODS[flood](number) for number in range(many)))
    assert kept(client) < 1.3 * MOST
    assert len(client.nb.cells[0].outputs) < 600
    assert len(client.notes) <= 2
    nbformat.validate(client.nb)


QUIET = [flood for flood, make in FLOODS.items() if make(0)["msg_type"] not in execute.DECIDE]


@pytest.mark.parametrize("flood", QUIET)
@pytest.mark.parametrize(
    ("last", "earned"),
    [
        ([error("wrong", "AssertionError", ["wrong"])], 0),
        ([shown("execute_result", {"text/plain": "2"}, execution_count=1)], 2),
        ([], 5),
    ],
    ids=["error", "partly right", "right"],
)
def test_a_flood_changes_no_marks(confined, flood, last, earned):
    cell = a_test()
    client = confined(cell, [*map(FLOODS[flood], range(40)), *last])
    for output in client.nb.cells[0].outputs:
        if output.get("name") == "stderr":  # as `preprocess_cell` does
            output.name = "stdout"
    assert determine_grade(cell) == (earned, 5)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_message_stops_nothing(confined, odd):
    cell = a_test()
    client = confined(cell, [ODD[odd]] * 100 + [error("wrong")])
    assert determine_grade(cell) == (0, 5)
    assert len(client.notes) <= 1
    nbformat.validate(client.nb)
    with pytest.raises(CellExecutionComplete):
        client.process_message(message("status", execution_state="idle"), cell, 0)


def test_what_fits_is_kept_as_it_is(confined):
    told = [
        message("stream", name="stdout", text="a" * 1000),
        shown(data={"image/png": "b" * 1000}, metadata={"image/png": {"width": 9}}),
        shown("execute_result", {"text/plain": "1"}, execution_count=7),
        error("c" * 1000, lines=["d"] * 9),
    ]
    client = confined(a_cell(), told)
    outputs = client.nb.cells[0].outputs
    assert [output.output_type for output in outputs] == [each["msg_type"] for each in told]
    assert outputs[0].text == "a" * 1000
    assert outputs[1].metadata == {"image/png": {"width": 9}}
    assert outputs[2].execution_count == client.nb.cells[0].execution_count == 7
    assert outputs[3].traceback == ["d"] * 9
    assert client.notes == []


@pytest.mark.parametrize(
    "content",
    [
        {"ename": "E", "evalue": TEXT * 100, "traceback": []},
        {"ename": TEXT * 100, "evalue": "", "traceback": []},
        {"ename": "E", "evalue": "", "traceback": [TEXT] * 100},
        {"ename": "E", "evalue": 3, "traceback": "none"},
        {},
    ],
)
def test_the_kernels_reply_is_shortened_before_nbgrader_adds_it(confined, content):
    cell = a_test()
    client = confined(cell, [])
    reply = {"content": {"status": "error", **content} if content else content}
    client.on_cell_executed(cell=cell, cell_index=0, execute_reply=reply)
    assert determine_grade(cell) == (0, 5)
    assert kept(client) < MOST
    nbformat.validate(client.nb)


def test_all_cells_together_have_a_limit_too(confined):
    cells = [a_cell() for _ in range(3 * execute.FULL_CELLS)]
    client = confined(cells[0], [])
    client.nb.cells[1:] = cells[1:]
    for number, cell in enumerate(cells):
        client._make_room()
        client.process_message(message("stream", name="stdout", text="x" * 90_000), cell, number)
        reply = {"status": "error", "ename": "E", "evalue": TEXT, "traceback": []}
        client.on_cell_executed(cell=cell, cell_index=number, execute_reply={"content": reply})
    assert kept(client) < 1.1 * execute.FULL_CELLS * MOST


@pytest.mark.parametrize("flood", [f for f in FLOODS if FLOODS[f](0)["msg_type"] == "error"])
def test_of_many_errors_there_is_one_at_least(confined, flood):
    cell = a_test()
    confined(cell, map(FLOODS[flood], range(40)))
    assert determine_grade(cell) == (0, 5)
