"""Run a command with limits and, on Linux, in a world of its own: `python confine.py JSON COMMAND`.

The JSON object has

    seconds, memory, file   limits: processor time, bytes of memory, bytes of a file
    box                     the one folder in which the command may write
    hide                    folders that it shall not see
    keep                    folders that it shall see all the same, read-only
    isolate                 whether to use namespaces; the last three are of use only then

On Linux the kernel's namespaces do without root what a container does: no network, no process but
its own, every folder but the box read-only, and the hidden ones empty. All that it started ends
with it. Where the system does not allow that, the command is not run.

It is run by its path and imports nothing of the package, whose import takes Keras's seconds.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path

# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>
NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    *(0x00020000, 0x08000000, 0x10000000),
    *(0x20000000, 0x40000000),
)
BIND, RECURSIVE, PRIVATE, NO_SUID, NO_DEVICES = 0x1000, 0x4000, 0x40000, 0x2, 0x4
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 0x1
DEATH_SIGNAL, DROP_CAPABILITY, NO_NEW_PRIVILEGES = 1, 24, 38


def main():
    order, command = json.loads(sys.argv[1]), sys.argv[2:]
    _die_with_parent()
    if order["isolate"]:
        _isolate()
        if child := os.fork():
            # Interrupts are for the child, which is in the same process group.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os._exit(status if status >= 0 else 128 - status)
        _die_with_parent()
        _arrange(order)
        _give_up_rights()
    _limit(order)
    os.execvp(command[0], command)


def _die_with_parent():
    with contextlib.suppress(OSError, AttributeError):
        _call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _isolate():
    """Leave the common namespaces; processes started from now on have process ids of their own."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", NEW_USER | NEW_MOUNTS | NEW_NETWORK | NEW_IPC | NEW_PIDS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount(None, "/", None, RECURSIVE | PRIVATE)


def _arrange(order):
    """Hide folders, make all but the box read-only, and show no other processes."""
    here, box = os.getcwd(), Path(order["box"])
    kept = {path: os.open(path, os.O_PATH) for path in (*map(Path, order["keep"]), box)}
    hidden = {Path(path) for path in order["hide"]} - kept.keys()
    # From the outside in: what is kept may lie in what is hidden, and the other way round.
    for path in sorted({*kept, *hidden}, key=lambda path: len(path.parts)):
        if path in hidden and path.is_dir():
            _mount("hidden", path, "tmpfs", NO_SUID | NO_DEVICES, "size=1m")
        elif path in kept and not hidden.isdisjoint(path.parents):
            path.mkdir(parents=True, exist_ok=True)
            _mount(f"/proc/self/fd/{kept[path]}", path, None, BIND | RECURSIVE)
    _set_read_only("/", True, AT_RECURSIVE)
    _mount(f"/proc/self/fd/{kept[box]}", box, None, BIND)
    _set_read_only(box, False)
    _mount("proc", "/proc", "proc", NO_SUID | NO_DEVICES)
    if Path("/dev/shm").is_dir():
        _mount("shm", "/dev/shm", "tmpfs", NO_SUID | NO_DEVICES, "size=64m")
    for descriptor in kept.values():
        os.close(descriptor)
    os.chdir(here)  # as it is seen from now on


def _give_up_rights():
    """Whoever made the arrangement could undo it."""
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _call("prctl", DROP_CAPABILITY, capability, 0, 0, 0)


def _limit(order):
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, value in (
        ("RLIMIT_CPU", order["seconds"]),
        ("RLIMIT_DATA", order["memory"]),
        ("RLIMIT_FSIZE", order["file"]),
        ("RLIMIT_CORE", 0),
    ):
        with contextlib.suppress(ValueError, OSError, AttributeError):  # unknown to this system
            resource.setrlimit(getattr(resource, name), (value, value))


def _mount(source, target, kind, flags, options=None):
    texts = (os.fsencode(text) if text else None for text in (source, target, kind))
    source, target, kind = texts
    _call("mount", source, target, kind, ctypes.c_ulong(flags), options and options.encode())


def _set_read_only(path, read_only, flags=0):
    # struct mount_attr: set, clear, propagation, user namespace
    attributes = (ctypes.c_uint64 * 4)(*((READ_ONLY, 0) if read_only else (0, READ_ONLY)), 0, 0)
    _call(
        *("syscall", MOUNT_SETATTR, AT_FDCWD, os.fsencode(path), flags),
        *(ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes))),
    )


def _call(function, *arguments):
    """A function of the C library that returns -1 and sets errno if it fails."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}")


if __name__ == "__main__":
    main()
