"""Run a submitted notebook in a confined kernel, to its end whatever happens in it."""

import shutil
import subprocess
import time
from itertools import chain
from pathlib import Path
from queue import Empty

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.utils import run_sync
from nbclient.exceptions import CellExecutionComplete, DeadKernelError
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade

from moe_labs.course.limits import MEGABYTE

CELL_SECONDS = 0.1  # more for each cell: ten thousand empty ones are no reason to stop
MOST_TOLD = 10
PATIENCE = 20  # seconds in which an interrupted kernel must answer
CUT = "\n[more output was dropped]\n"
FULL_CELLS = 50  # outputs of a notebook, in cells that say as much as one may
EACH = 200  # characters that an output counts for beside its own: it takes memory, too
EACH_PART = 8  # the same for each text, number, list or dictionary in it
NESTED = 50  # lists and dictionaries in each other; others go through them by recursion
DECIDE = ("error", "execute_result")  # what a cell's marks depend on
SHORT = 1000  # characters of a result that is kept all the same


class ConfinedExecute(Execute):
    """nbgrader's `Execute`, in a `Sandbox` and within its limits.

    A cell that takes too long is interrupted. A kernel that ends, or that cannot be interrupted,
    is not started again: the cells after it get an error each, since nbgrader gives a cell without
    one its full marks. Warnings are no errors, although nbgrader takes all of stderr for one.

    Args:
        sandbox: a `Sandbox`.
        notes: a list; what went wrong goes there, a sentence each.
    """

    def __init__(self, sandbox, notes, **kwargs):
        super().__init__(**kwargs)
        self.sandbox = sandbox
        self.notes = notes
        self.raise_on_iopub_timeout = False
        self.iopub_timeout = PATIENCE
        self.store_widget_state = False  # it would be kept apart from the outputs, and never shown
        self.skip_cells_with_tag = ""  # a tag would be full marks without an answer

    def preprocess(self, nb, resources, km=None):
        limits = self.sandbox.limits
        self.sandbox.make_folders()
        copy_files(resources["metadata"]["path"], self.sandbox.work)
        budget = limits.seconds + min(limits.seconds, CELL_SECONDS * len(nb.cells))
        self.deadline = time.monotonic() + budget
        self.stopped, self.slow_cell = None, None
        self.room_for_all = FULL_CELLS * self._most()
        nb, resources = super().preprocess(nb, resources, km)
        self.notes += _errors(nb)
        return nb, resources

    def create_kernel_manager(self):
        # What was handed in beside the notebook is found last: it replaces no package.
        self.extra_arguments = [
            "--HistoryManager.hist_file=:memory:",
            "--InteractiveShellApp.ignore_cwd=True",
            "--InteractiveShellApp.exec_lines=import sys; sys.path.append(''); del sys",
        ]
        self.km = ConfinedKernelManager(self.sandbox)
        return self.km

    def start_new_kernel(self, **kwargs):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        where = {"cwd": str(self.sandbox.work), "env": self.sandbox.environment()}
        return super().start_new_kernel(**kwargs, **where, **quiet)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code":
            return cell, resources
        self._make_room()
        if not self.stopped and time.monotonic() > self.deadline:
            self._stop(f"time limit: {self.sandbox.limits.seconds} seconds for the whole lab")
        if not self.stopped:
            try:
                cell, resources = super().preprocess_cell(cell, resources, index)
            except DeadKernelError:
                self.stopped = f"the kernel ended in cell {index + 1}{self._how_it_ended()}"
                self.notes.append(self.stopped)
            else:
                if self.slow_cell is not None and not self._answers():
                    self._stop(f"time limit: cell {index + 1} could not be interrupted")
            self.slow_cell = None
        if self.stopped:
            error = [f"NotRun: {self.stopped}"]
            cell.setdefault("outputs", []).append(
                new_output("error", ename="NotRun", evalue=self.stopped, traceback=error)
            )
        if is_grade(cell):
            for output in cell.outputs:
                if output.get("name") == "stderr":
                    output.name = "stdout"
        return cell, resources

    def process_message(self, msg, cell, cell_index):
        """Take in an output, unless the cell has said too much already, or what is no message."""
        try:
            kind = self._within_limits(msg, cell, cell_index)
            if kind is None:
                return None
            output = super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            raise
        except Exception:  # students' code can send anything in the kernel's name
            note = f"an output that cannot be kept: cell {cell_index + 1}"
            self.notes += [note] if note not in self.notes[-2:] else []
            return None
        if self.room < 0 and kind in DECIDE:
            self.kept_last[kind] = output
        return output

    def on_cell_executed(self, **kwargs):
        """Shorten the kernel's reply, whose error nbgrader adds to the outputs."""
        content = kwargs["execute_reply"]["content"]
        if content.setdefault("status", "error") == "error":
            _shorten(content, max(SHORT, min(self._most() // 10, self.room_for_all)))
            self.room_for_all -= sum(_weight(content[part]) for part in ("evalue", "traceback"))
        return super().on_cell_executed(**kwargs)

    def _make_room(self):
        """For the outputs of the next cell."""
        self.room = max(0, min(self._most(), self.room_for_all))
        self.kept_last = {}  # from a kind to what is kept although there is no room

    def _most(self):
        """Characters that a cell's outputs may have."""
        return int(self.sandbox.limits.output_mb * MEGABYTE)

    def _within_limits(self, msg, cell, cell_index):
        """Charge for a message, made shorter if need be: its kind, or None if there is no room."""
        kind, content = msg["msg_type"], msg["content"]
        if "execution_count" in content and not _is_count(content["execution_count"]):
            content["execution_count"] = None
        if kind in ("status", "execute_input", "clear_output"):  # nothing of it is kept
            return kind
        if kind == "error":
            _shorten(content, self._most() // 10)
        said = EACH + _weight(content)
        said += sum(memoryview(buffer).nbytes for buffer in msg.get("buffers", []))
        if said <= self.room:
            self.room -= said
            self.room_for_all -= said
            return kind
        if self.room >= 0:
            text = content.get("text") if isinstance(content.get("text"), str) else ""
            cut = new_output("stream", name="stdout", text=text[: self.room] + CUT)
            cell.outputs.append(cut)
            self.notes.append(f"more output than is kept: cell {cell_index + 1}")
            self.room_for_all -= self.room
            self.room = -1
        if kind not in DECIDE:
            return None
        # The last of each kind counts, in short: a cell that talks too much is still marked.
        earlier = self.kept_last.pop(kind, None)
        cell.outputs[:] = [output for output in cell.outputs if output is not earlier]
        content.pop("transient", None)
        if kind == "error":
            _shorten(content, SHORT)
        else:
            text = content.get("data", {}).get("text/plain", "")
            content |= {"data": {"text/plain": str(text)[:SHORT]}, "metadata": {}}
        return kind

    def _get_timeout(self, cell):
        left = self.deadline - time.monotonic()
        return max(1, min(self.sandbox.limits.cell_seconds, left))

    async def _async_handle_timeout(self, timeout, cell=None):
        self.slow_cell = cell
        return await super()._async_handle_timeout(timeout, cell)

    def _answers(self):
        """Whether the kernel is ready for the next cell."""
        question = self.kc.kernel_info()
        until = time.monotonic() + PATIENCE
        while (left := until - time.monotonic()) > 0:
            try:
                reply = run_sync(self.kc.get_shell_msg)(timeout=left)
            except Empty:
                break
            if reply["parent_header"].get("msg_id") == question:
                return True
        return False

    def _stop(self, reason):
        self.stopped = reason
        self.notes.append(reason)
        run_sync(self.km.shutdown_kernel)(now=True)

    def _how_it_ended(self):
        process = getattr(self.km.provisioner, "process", None)
        status = process.poll() if process else None
        return {
            137: ": killed (by itself, or for want of memory)",
            152: ": it used up its processor time",
            None: "",
        }.get(status, f" with exit status {status}")


class ConfinedKernelManager(AsyncKernelManager):
    """Starts this Python's own kernel, whatever a notebook asks for, in a sandbox.

    It talks to it through sockets in the sandbox's folder, as the sandbox has no network.
    """

    def __init__(self, sandbox, **kwargs):
        super().__init__(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc",
            ip=str(sandbox.sockets / "s"),
            connection_file=str(sandbox.sockets / "kernel.json"),
            **kwargs,
        )
        self.sandbox = sandbox
        self.shutdown_wait_time = PATIENCE

    def format_kernel_cmd(self, extra_arguments=None):
        return self.sandbox.command(super().format_kernel_cmd(extra_arguments))


def _weight(content):
    """What a message counts for, in characters; without end if it is nested too deeply."""
    weight, within = 0, [iter([content])]
    while within:
        for value in within[-1]:
            weight += EACH_PART
            if isinstance(value, dict | list):
                pairs = isinstance(value, dict)
                within.append(chain.from_iterable(value.items()) if pairs else iter(value))
                break
            weight += len(str(value))
        else:
            within.pop()
        if len(within) > NESTED:
            return float("inf")
    return weight


def _is_count(value):
    return type(value) is int and 0 <= value < 2**31


def _shorten(content, most):
    """Cut an error's texts, of which a student's code may make any length."""
    content["ename"] = str(content.get("ename", ""))[:200]
    content["evalue"] = str(content.get("evalue", ""))[:most]
    kept, room = [], most
    lines = content.get("traceback")
    for line in map(str, lines if isinstance(lines, list) else ()):
        kept.append(line[: max(room, 0)])
        room -= len(line) + 1
        if room <= 0:
            break
    content["traceback"] = kept


def copy_files(folder, work):
    """What was handed in, or comes with the lab, beside the notebook."""
    for path in Path(folder).iterdir():
        if path.is_dir():
            shutil.copytree(path, work / path.name, dirs_exist_ok=True)
        elif path.suffix != ".ipynb":
            shutil.copy(path, work / path.name)


def _errors(nb):
    """What a lecturer wants to know of the errors in cells."""
    names = {
        "SyntaxError": "syntax error",
        "IndentationError": "syntax error",
        "CellTimeoutError": "time limit",
        "MemoryError": "memory limit",
    }
    others = []
    for index, cell in enumerate(nb.cells, 1):
        for output in cell.get("outputs", []):
            name = output.get("ename", "")
            name = "MemoryError" if "MemoryError" in name else name
            if name in names:
                yield f"{names[name]}: cell {index}"
                break
            if name and name != "NotRun" and not is_grade(cell):
                others.append(f"{index} ({name[:40]})")
                break
    if others:
        more = ", ..." if len(others) > MOST_TOLD else ""
        yield f"error in cell {', '.join(others[:MOST_TOLD])}{more}"
