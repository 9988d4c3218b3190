"""Run a submitted notebook in a confined kernel, to its end whatever happens in it."""

import shutil
import subprocess
import time
from pathlib import Path
from queue import Empty

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.utils import run_sync
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade

from moe_labs.course.limits import MEGABYTE

CELL_SECONDS = 0.1  # more for each cell: ten thousand empty ones are no reason to stop
MOST_TOLD = 10
PATIENCE = 20  # seconds in which an interrupted kernel must answer
CUT = "\n[more output was dropped]\n"


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
        self.skip_cells_with_tag = ""  # a tag would be full marks without an answer

    def preprocess(self, nb, resources, km=None):
        limits = self.sandbox.limits
        self.sandbox.make_folders()
        copy_files(resources["metadata"]["path"], self.sandbox.work)
        budget = limits.seconds + min(limits.seconds, CELL_SECONDS * len(nb.cells))
        self.deadline = time.monotonic() + budget
        self.stopped, self.slow_cell = None, None
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
        self.printed = 0
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
        """Take in an output, unless the cell has said too much already; errors always."""
        content = msg["content"]
        if msg["msg_type"] == "error":
            _shorten(content, int(self.sandbox.limits.output_mb * MEGABYTE / 10))
        said = len(content.get("text", "")) + sum(map(_size, content.get("data", {}).values()))
        if said:
            room = int(self.sandbox.limits.output_mb * MEGABYTE) - self.printed
            self.printed += said
            if said > room:
                if room <= 0:
                    return None
                msg["header"]["msg_type"] = msg["msg_type"] = "stream"
                msg["content"] = {"name": "stdout", "text": content.get("text", "")[:room] + CUT}
                self.printed = float("inf")
                self.notes.append(f"more output than is kept: cell {cell_index + 1}")
        return super().process_message(msg, cell, cell_index)

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


def _shorten(content, most):
    """Cut an error's texts, of which a student's code may make any length."""
    content["ename"] = str(content.get("ename", ""))[:200]
    content["evalue"] = str(content.get("evalue", ""))[:most]
    kept, room = [], most
    for line in map(str, content.get("traceback", [])):
        kept.append(line[: max(room, 0)])
        room -= len(line)
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


def _size(data):
    return len(data) if isinstance(data, str) else len(str(data))


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
