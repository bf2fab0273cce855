"""How are product pictures made small where no imaging package is installed?  Not at all."""

from typing import Any

from oscar.core.thumbnails import AbstractThumbnailer


class Picture:
    """What templates ask of a thumbnail: its address."""

    url = "/media/no-picture.png"


class NoThumbnails(AbstractThumbnailer):
    """Gives each product the same address."""

    def generate_thumbnail(self, source: Any, **opts: Any) -> Picture:
        """No file is read or made."""
        return Picture()

    def delete_thumbnails(self, source: Any) -> None:
        """There is nothing to delete."""
