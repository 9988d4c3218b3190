"""Links of a checkout's Markdown, made links of the website."""

import os
import re
from pathlib import PurePosixPath

CODE = r"(?P<code>^```.*?^```|`[^`\n]+`)"
IMAGE = r"!\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s]+)\)"
LINK = r"\[(?P<text>(?:`[^`\n]+`|!\[[^\]]*\]\([^)\s]+\)|[^\]`\[])+)\]\((?P<target>[^)\s]+)\)"
PIECE = re.compile(f"{CODE}|{LINK}|{IMAGE}", re.MULTILINE | re.DOTALL)


class Links:
    """Where files of the checkout are on the website.

    Args:
        root: the checkout.
        pages: mapping of files, as paths within the checkout, to pages, as paths within the site.
        repository: the repository's address, or None: then what is no page is named, not linked.
    """

    def __init__(self, root, pages, repository=None):
        self.root, self.pages, self.repository = root, pages, repository
        self.images = {}

    def rewrite(self, text, origin, page):
        """The text of the file `origin`, with links that are right on the page `page`.

        Images of the checkout are collected in `images`, to be copied: place on the site to file.
        An image from elsewhere becomes its alternative text, for a page asks nobody else.

        Raises:
            ValueError: if a link leads to a file that does not exist.
        """

        def renewed(piece):
            if piece["code"]:
                return piece[0]
            if piece["image"]:
                return self._image(piece["alt"], piece["image"], origin, page)
            label = PIECE.sub(renewed, piece["text"]) if "![" in piece["text"] else piece["text"]
            return self._link(label, piece["target"], origin, page)

        return PIECE.sub(renewed, text)

    def _image(self, alt, target, origin, page):
        if "://" in target:
            return alt
        file = self._resolve(target, origin)
        place = f"images/{PurePosixPath(file).name}"
        self.images[place] = file
        return f"![{alt}]({_relative(place, page)})"

    def _link(self, label, target, origin, page):
        if "://" in target or target.startswith(("#", "mailto:")):
            return f"[{label}]({target})"
        target, sharp, anchor = target.partition("#")
        file = self._resolve(target, origin)
        for name in (file, f"{file}/README.md"):
            if name in self.pages:
                return f"[{label}]({_relative(self.pages[name], page)}{sharp}{anchor})"
        if self.repository:
            return f"[{label}]({self.repository}/blob/main/{file}{sharp}{anchor})"
        return label if file in label else f"{label} (`{file}`)"

    def _resolve(self, target, origin):
        file = os.path.normpath(PurePosixPath(origin).parent / target)
        if not (self.root / file).exists():
            raise ValueError(
                f"{origin}: expected links to files of the checkout. Received: {target}"
            )
        return file


def _relative(place, page):
    return os.path.relpath(place, PurePosixPath(page).parent)
