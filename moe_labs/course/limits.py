"""What the code of one submission may use."""

from dataclasses import dataclass

MEGABYTE = 1024**2


@dataclass(frozen=True)
class Limits:
    """What the code of one submission may use.

    Attributes:
        seconds: for the whole submission; cells not reached by then get no marks.
        cell_seconds: for one cell; then it is interrupted, and the lab goes on.
        memory_mb: for what a process allocates; beyond it Python raises a `MemoryError`. All
            processes together may have half as much again; beyond it they are ended.
        output_mb: of a cell's output, errors and all that comes with it included; the rest is
            dropped, but for the last error and the last result, in short. All cells together may
            have fifty times as much.
        file_mb: for one file that it writes.
        disk_mb: for all files that it writes; beyond it its processes are ended.
        processes: how many there may be, threads included.
        files: how many may be open in a process.
        upload_mb: for what was handed in, all files together, unpacked.
    """

    seconds: int = 600
    cell_seconds: int = 180
    memory_mb: int = 6000
    output_mb: float = 1.0
    file_mb: int = 500
    disk_mb: int = 2000
    processes: int = 2000
    files: int = 4096
    upload_mb: int = 100

    def __post_init__(self):
        wrong = {name: value for name, value in vars(self).items() if value <= 0}
        if wrong:
            raise ValueError(f"Expected limits above 0. Received: {wrong}")
