"""A notebook's kernel: started for one notebook, watched while it runs, gone afterwards."""

import asyncio
import contextlib
import subprocess

import zmq
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.session import Session
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from traitlets import Float

from moe_common.stopping import adopt_orphans, children, end_children

SHORT_SECONDS = 2  # a cell that ends within them is not worth a question
LOOK_SECONDS = 0.5


class KernelIdle(RuntimeError):
    """The kernel has nothing to do, but the end of its cell was never reported."""


class LabClient(NotebookClient):
    """nbclient's `NotebookClient`, whose kernel is gone when `execute` is left, however it is left.

    Signals stay with the command: nbclient takes SIGINT and SIGTERM to itself, ends the kernel, and
    lets its caller go on.

    The message that a cell has ended can get lost, and nbclient then waits for ever. Here each long
    cell is followed by a question. A kernel answers in turn, so its answer says that the cell has
    ended; if nothing is heard of that for `idle_seconds` more, the run ends.
    """

    idle_seconds = Float(60, help="How long a kernel may be idle before the run ends.")

    def execute(self, **options):
        """Execute all cells; what the kernel's own process says (not the cells) is dropped.

        Raises:
            nbclient.exceptions.CellExecutionError: if a cell raised an error.
            nbclient.exceptions.DeadKernelError: if the kernel died.
            KernelIdle: if the kernel was idle for `idle_seconds` while its cell was waited for.
        """
        self.process, self.is_idle = None, False
        adopt_orphans()  # what the kernel leaves in a session of its own becomes ours to end
        others = children()
        try:
            return super().execute(stderr=subprocess.DEVNULL, **options)
        except DeadKernelError as error:
            if self.is_idle:
                raise KernelIdle(
                    f"The kernel has been idle for {self.idle_seconds:g} seconds, but the end of "
                    "this cell was never reported. Run the lab again."
                ) from error
            raise
        finally:
            if self.process is not None:
                end_children(self.process.pid)
            end_children(but=others)

    def create_kernel_manager(self):
        """Without folders to search, "python3" cannot be a kernel somebody installed elsewhere."""
        self.km = AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
        )
        return self.km

    @contextlib.asynccontextmanager
    async def async_setup_kernel(self, **options):
        self.create_kernel_manager()
        try:
            await self.async_start_new_kernel(**options)
            self.process = self.km.provisioner.process
            await self.async_start_new_kernel_client()
            yield
        finally:
            if self.km is not None:  # the client's start cleans up after itself if it fails
                await self._async_cleanup_kernel()

    async def _async_poll_kernel_alive(self):
        """Runs beside each cell, until it is cancelled or has cancelled the wait for the cell."""
        tasks = [
            asyncio.ensure_future(super()._async_poll_kernel_alive()),
            asyncio.ensure_future(self._wait_until_idle()),
            asyncio.ensure_future(look_again(self.kc.shell_channel.socket)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _wait_until_idle(self):
        await asyncio.sleep(SHORT_SECONDS)
        # With the same session the kernel would send both clients' answers to the newer one.
        asker = self.km.client(session=Session(key=self.km.session.key))
        asker.start_channels(iopub=False, stdin=False, hb=False, control=False)
        try:
            asker.kernel_info()
            await asker.get_shell_msg(timeout=None)
            await asyncio.sleep(self.idle_seconds)
            self.is_idle = True
            self.task_poll_for_reply.cancel()
        finally:
            asker.stop_channels()


async def look_again(socket):
    """Look now and then whether a message has come, and wake who waits for one.

    A widget's state is sent through the same socket from outside of asyncio. ZeroMQ tells of a new
    message once; where it does so during such a send, asyncio does not hear of it.
    """
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        socket.get(zmq.EVENTS)  # pyzmq wakes whoever waits for what it finds
