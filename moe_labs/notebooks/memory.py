"""How much memory a lab takes, with all the processes that it starts."""

import contextlib
import threading

import psutil

INTERVAL_SECONDS = 0.5
GIGABYTE = 1e9


class PeakMemory:
    """The largest resident memory of this process and of all that it started, while the block runs.

    Pages that processes share count once for each, so it is an upper bound.

    Example:

    >>> with PeakMemory() as peak:
    ...     _ = bytearray(10**7)
    >>> 0.01 < peak.gigabytes < 100
    True
    """

    def __enter__(self):
        self.gigabytes = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        while not self._ended.wait(INTERVAL_SECONDS):
            self._look()

    def _look(self):
        root = psutil.Process()
        total = 0
        for process in [root, *root.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):  # it has just ended
                total += process.memory_info().rss
        self.gigabytes = max(self.gigabytes, total / GIGABYTE)
