"""How much a student, or a whole download, may still take."""

from dataclasses import dataclass


class TooMuch(Exception):
    """There is no room for it; the message says how much there is."""


@dataclass
class Room:
    """What there may be yet: so many bytes, and so many files."""

    size: int
    files: int
    most: str

    def take(self, size, files=1):
        if size > self.size or files > self.files:
            raise TooMuch(self.most)
        self.size -= size
        self.files -= files
