"""Run a command with limits and, on Linux, in a world of its own.

    python -m moe_labs.course.confine JSON COMMAND

The JSON object has

    seconds, memory, file   limits: processor time, bytes of memory, bytes of a file
    processes, files        limits: how many of them
    total, disk             limits: bytes of memory of all processes, bytes in the box
    box                     the one folder in which the command may write
    keep                    files and folders that it shall see, read-only; it sees no other
    mask                    folders in those that it shall not see all the same
    isolate                 whether to use namespaces; the last five are of use only then

On Linux the kernel's namespaces do without root what a container does: no network but a loopback
of its own, no process but its own, and an empty root folder into which only what is kept is
mounted. All that it started ends with it. Where the system does not allow that, the command is not
run.
"""

import contextlib
import ctypes
import json
import os
import platform
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path

# <linux/sched.h>, <linux/mount.h>, <linux/prctl.h>, <linux/sockios.h>, <linux/if.h>
NEW_MOUNTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    *(0x00020000, 0x08000000, 0x10000000),
    *(0x20000000, 0x40000000),
)
BIND, RECURSIVE, PRIVATE, NO_SUID, NO_DEVICES, DETACH = 0x1000, 0x4000, 0x40000, 0x2, 0x4, 0x2
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 0x1
DEATH_SIGNAL, DROP_CAPABILITY, NO_NEW_PRIVILEGES = 1, 24, 38
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 0x1
PIVOT_ROOT = {"x86_64": 155}.get(platform.machine(), 41)  # <asm/unistd.h>
DEVICES = ("null", "zero", "full", "random", "urandom")
LOOK = 0.25  # seconds between two looks at memory
LOOKS = 8  # of these to one look at the disk
MOST_IN_BOX = 200_000
DEEPEST = 200  # folders in each other, each of which takes a descriptor to look into
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def main():
    order, command = json.loads(sys.argv[1]), sys.argv[2:]
    die_with_parent()
    if order["isolate"]:
        _isolate()
        if child := os.fork():
            # Interrupts are for the child, which is in the same process group.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _watch(child, order)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os._exit(status if status >= 0 else 128 - status)
        die_with_parent()
        _arrange(order)
        _give_up_rights()
    _limit(order)
    _become(command)


def _become(command):
    if os.name == "nt":  # execvp would start another process there, and end this one at once
        sys.exit(subprocess.run(command, close_fds=False).returncode)
    os.execvp(command[0], command)


def die_with_parent():
    """Ask Linux to end this process when the one that started it ends."""
    with contextlib.suppress(OSError, AttributeError):
        _call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _isolate():
    """Leave the common namespaces; processes started from now on have process ids of their own."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", NEW_USER | NEW_NETWORK | NEW_IPC | NEW_PIDS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with contextlib.suppress(OSError):  # in a world of its own it may make no other
        Path("/proc/sys/user/max_user_namespaces").write_text("0")


def _arrange(order):
    """An empty root, and in it: what is kept, read-only; the box; devices; its own processes."""
    _call("unshare", NEW_MOUNTS)
    _mount(None, "/", None, RECURSIVE | PRIVATE)
    _start_loopback()
    here, box = os.getcwd(), Path(order["box"])
    root = box / "root"
    root.mkdir(exist_ok=True)
    kept = {Path(path): os.open(path, os.O_PATH) for path in order["keep"]}
    at_box = os.open(box, os.O_PATH)
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES}
    _mount("root", root, "tmpfs", NO_SUID | NO_DEVICES, "size=1m")
    _mount_new("tmp", root / "tmp", "size=64m")
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        if Path(f"/{name}").is_symlink():
            (root / name).symlink_to(os.readlink(f"/{name}"))
    # From the outside in: one may lie in another.
    for path, descriptor in sorted(kept.items(), key=lambda item: len(item[0].parts)):
        target = _bind(descriptor, root / path.relative_to("/"))
        _set_read_only(target, True, AT_RECURSIVE)
    for path in order["mask"]:
        if (root / path.lstrip("/")).is_dir():
            _mount("hidden", root / path.lstrip("/"), "tmpfs", NO_SUID | NO_DEVICES, "size=4k")
            _set_read_only(root / path.lstrip("/"), True)
    _bind(at_box, root / box.relative_to("/"))
    _make_up_users(root / "etc", box / "home")
    # What is to be written there is counted: it is memory.
    _mount_new("dev", root / "dev", "size=1m")
    for name, descriptor in devices.items():
        _bind(descriptor, root / "dev" / name)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (root / "dev" / name).symlink_to(f"/proc/self/fd{target}")
    _mount_new("shm", root / "dev" / "shm", "size=64m")
    (root / "proc").mkdir()
    _mount("proc", root / "proc", "proc", NO_SUID | NO_DEVICES)
    _set_read_only(root / "proc", True)
    _set_read_only(root / "dev", True)
    _set_read_only(root, True)
    for descriptor in (*kept.values(), *devices.values(), at_box):
        os.close(descriptor)
    os.chdir(root)
    # The new root is put over the old one, which is then taken away below it.
    _call("syscall", PIVOT_ROOT, b".", b".")
    _call("umount2", b".", DETACH)
    os.chdir(here)


def _mount_new(name, target, options):
    target.mkdir()
    _mount(name, target, "tmpfs", NO_SUID | NO_DEVICES, options)


def _bind(descriptor, target):
    """Show what a descriptor stands for at another place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        target.mkdir(exist_ok=True)
    elif not target.exists():
        target.touch()
    _mount(f"/proc/self/fd/{descriptor}", target, None, BIND | RECURSIVE)
    return target


def _make_up_users(settings, home):
    """Programs ask what they are called; who else uses this computer is nobody's business."""
    settings.mkdir(exist_ok=True)
    user, group = os.getuid(), os.getgid()
    users = f"student:x:{user}:{group}::{home}:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
    (settings / "passwd").write_text(users)
    (settings / "group").write_text(f"student:x:{group}:\nnobody:x:65534:\n")


def _start_loopback():
    """Let its processes talk to each other: Spark does."""
    import fcntl  # not on Windows

    with socket.socket() as any_socket:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, GET_FLAGS, request))[1]
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14s", b"lo", flags | UP, b""))


def _watch(child, order):
    """End the child, and with it all that it started, if together they take too much."""
    ended = os.pidfd_open(child)
    looks = 0
    while not select.select([ended], [], [], LOOK)[0]:
        looks += 1
        if _memory_below(child) > order["total"] or (
            looks % LOOKS == 0 and _size_of(order["box"]) > order["disk"]
        ):
            os.kill(child, signal.SIGKILL)
    os.close(ended)


def _memory_below(child):
    """Bytes that a process and its descendants have in memory; what they share counts for each."""
    parents, sizes = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                status = Path("/proc", name, "status").read_text(errors="replace")
                lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                parents[int(name)] = int(lines["PPid"])
                sizes[int(name)] = sum(
                    int(lines[kind].split()[0]) * 1024
                    for kind in ("RssAnon", "RssShmem")
                    if kind in lines
                )
    return sum(size for pid, size in sizes.items() if _is_below(pid, child, parents))


def _is_below(pid, ancestor, parents):
    while pid and pid != ancestor:
        pid = parents.get(pid)
    return pid == ancestor


def _size_of(folder):
    """Bytes on the disk below a folder; without end if some of it cannot be counted.

    It goes by descriptors, since a path may be longer than the system takes, and stops at what is
    too deep, too much, or closed to it: a limit must not be blind there.
    """
    waiting, size, count = [], 0, 0
    try:
        waiting.append(_entries(folder))
        while waiting:
            descriptor, names = waiting[-1]
            if not names:
                os.close(descriptor)
                waiting.pop()
                continue
            name = names.pop()
            count += 1
            with contextlib.suppress(FileNotFoundError):  # its owner has just removed it
                about = os.lstat(name, dir_fd=descriptor)
                size += about.st_blocks * 512
                if stat.S_ISDIR(about.st_mode):
                    waiting.append(_entries(name, descriptor))
            if count > MOST_IN_BOX or len(waiting) > DEEPEST:
                return float("inf")
    except OSError:
        return float("inf")
    finally:
        for descriptor, _ in waiting:
            os.close(descriptor)
    return size


def _entries(folder, above=None):
    """A folder's descriptor and the names in it."""
    descriptor = os.open(folder, FOLDER, dir_fd=above)
    try:
        return descriptor, os.listdir(descriptor)
    except OSError:
        os.close(descriptor)
        raise


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
    limits = [
        ("RLIMIT_CPU", order["seconds"]),
        ("RLIMIT_DATA", order["memory"]),
        ("RLIMIT_FSIZE", order["file"]),
        ("RLIMIT_NOFILE", order["files"]),
        ("RLIMIT_CORE", 0),
    ]
    if order["isolate"]:  # else all of the user's processes would be counted
        limits.append(("RLIMIT_NPROC", order["processes"]))
    for name, value in limits:
        with contextlib.suppress(ValueError, OSError, AttributeError):  # unknown to this system
            kind = getattr(resource, name)
            most = resource.getrlimit(kind)[1]
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(kind, (value, value))


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
