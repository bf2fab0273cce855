"""What does the demo's declaration say, without starting the demo?"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["demo_declaration", "write_demo"]


def demo_declaration(shop: str = "http://127.0.0.1:18080", database_port: int = 18432) -> str:
    """The text of its sre.yaml for a shop at this address."""
    package = resources.files("sre.demo")
    text = (package / "declaration.yaml").read_text("utf-8")
    values = {
        "SHOP_PORT": shop.rpartition(":")[2],
        "DB_PORT": str(database_port),
        "SHOP": shop,
        "S3": "http://127.0.0.1:18333",
        "RECIPIENT": "age1mw6e39vwvjcunsc350n9qhz3jm887jrwyzs84emfgfm6f37afyeq5are35",
        "TRUSTED": "ed25519:aosqej6T3WeDL824nlLn6fPVKuvPYUPzNhqd4ALVq1Q=",
        "BIN_DIR": "/usr/lib/postgresql/15/bin",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text + (package / "journeys.yaml").read_text("utf-8")


def write_demo(folder: Path, *, fast: bool = False, **options: object) -> Path:
    """The declaration as a file; `fast`: every probe runs each second or two."""
    text = demo_declaration(**options)  # type: ignore[arg-type]
    if fast:
        for slow, quick in (("15s", "1s"), ("30s", "2s"), ("60s", "2s")):
            text = text.replace(f"every: {slow}", f"every: {quick}")
        text = text.replace("budget: 600/h", "budget: 6000/h")
    path = folder / "sre.yaml"
    path.write_text(text, encoding="utf-8")
    return path
