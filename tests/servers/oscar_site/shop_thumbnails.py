"""How are product pictures made small where no imaging package is installed?  Not at all."""

from typing import Any

from oscar.core.thumbnails import AbstractThumbnailer


class Picture:
    """The address that a thumbnail would have."""

    def __init__(self, url: str) -> None:
        self.url = url


class NoThumbnails(AbstractThumbnailer):
    """Gives each product the same address."""

    def generate_thumbnail(self, source: Any, **opts: Any) -> Picture:
        return Picture("/media/no-picture.png")

    def delete_thumbnails(self, source: Any) -> None:
        return None
