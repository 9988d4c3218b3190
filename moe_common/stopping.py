"""End a command at once on Ctrl-C or another signal: right status, no child left, work kept named.

Python hears of a signal only between two of its own instructions, and a step of TensorFlow or an
answer from Java can take minutes. So a thread listens as well: it ends a command that has not ended
by itself within `GRACE_SECONDS`, and at once if a second signal comes.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading

import psutil

from moe_common.files import remove_unfinished

GRACE_SECONDS = 3  # to leave `with` and `finally` blocks
CHILD_SECONDS = 2  # for a child to end when asked to, before it is killed
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
    if hasattr(signal, name)
]
NOHUP = getattr(signal, "SIGHUP", None), signal.SIG_IGN
BECOME_SUBREAPER = 36  # <linux/prctl.h>
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it

_promises = []  # what `keeping` was given, outermost first
_heard = []  # numbers of the signals that have come
_ending = threading.Lock()


class Stopped(SystemExit):
    """Raised in the main thread by a signal. Its status is 128 + the signal's number."""

    def __init__(self, number):
        super().__init__(128 + number)


@contextlib.contextmanager
def keeping(describe):
    """Say what an interruption leaves behind, if it comes while the block runs.

    Args:
        describe: function without arguments that returns a sentence, such as "The epochs that
            ended are in run/state.npz."; it is called when the signal has come.
    """
    _promises.append(describe)
    try:
        yield
    finally:
        if not _heard:  # else `_end` reads it
            _promises.remove(describe)


@contextlib.contextmanager
def stops_at_once():
    """Run a command so that SIGINT, SIGTERM, SIGHUP and SIGQUIT end the whole of it at once.

    The block is left by `Stopped`, its `finally` blocks run; then a line says what was kept, every
    process that the command started is ended, and this one exits with 128 + the signal's number
    (130 for Ctrl-C, 143 for SIGTERM). Under nohup a closed terminal still ends nothing.
    For the main thread of a command; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    adopt_orphans()
    handlers = {
        number: signal.signal(number, _raise_stopped)
        for number in SIGNALS
        if (number, signal.getsignal(number)) != NOHUP
    }
    ears, mouth = socket.socketpair()
    mouth.setblocking(False)
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(ears, handlers), daemon=True).start()
    try:
        yield
    except BaseException as error:
        # Others have handlers of their own: PySpark's raises KeyboardInterrupt, Typer then exits.
        if isinstance(error, KeyboardInterrupt):
            _heard.append(signal.SIGINT)
        if _heard:
            _end(_heard[0])
        raise
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        mouth.close()  # the thread hears that and ends


def _raise_stopped(number, frame):
    if not _heard:  # a second one would tear a `finally` block in two; the thread acts on it
        _heard.append(number)
        raise Stopped(number)


def _listen(ears, numbers):
    """Wait for the first signal that is ours, then for a second one or the end of the grace."""
    first = None
    while True:
        try:
            heard = ears.recv(1)
        except TimeoutError:
            _end(first)
        if heard == b"":
            ears.close()
            return
        if heard[0] in numbers:
            if first is not None:
                _end(first)
            first = heard[0]
            ears.settimeout(GRACE_SECONDS)


def _end(number):
    _ending.acquire()  # whoever comes second waits for the process to end
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
        cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
        print(f"{cursor}\nStopped by {name}.", file=sys.stderr)
        for describe in _promises:
            print(describe(), file=sys.stderr)
    remove_unfinished()
    end_children()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(128 + number)  # the interpreter's own way out would wait for threads


def children():
    """This process's children, and theirs: a list of `psutil.Process`."""
    return psutil.Process().children(recursive=True)


def end_children(of=None, but=()):
    """End every process that this one, or another, has started, and those that they started.

    Args:
        of: id of the other process, which is ended too. Default: this one's children.
        but: of these, the processes that are left alone, as `children` gave them.
    """
    try:
        root = psutil.Process(of)
        processes = root.children(recursive=True) + ([] if of is None else [root])
    except psutil.NoSuchProcess:
        return
    processes = [process for process in processes if process not in but]
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(processes, CHILD_SECONDS)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, CHILD_SECONDS)


def adopt_orphans():
    """A child's child whose parent has ended becomes ours (on Linux), and so is found and ended."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
