"""Everything that Linux desktops look for, as it lies below `/usr/share`."""

from __future__ import annotations

import gzip
from pathlib import Path

from metadata.icons import PNG_SIZES, png
from metadata.identity import APP_ID, HERE, ICON
from metadata.manpages import pages

DESKTOP_FILE = f"applications/{APP_ID}.desktop"
METAINFO_FILE = f"metainfo/{APP_ID}.metainfo.xml"
MIME_FILE = f"mime/packages/{APP_ID}.xml"
SVG_FILE = f"icons/hicolor/scalable/apps/{APP_ID}.svg"


def png_file(size: int) -> str:
    """Where the PNG of that size lies."""
    return f"icons/hicolor/{size}x{size}/apps/{APP_ID}.png"


def write_share(folder: Path) -> list[Path]:
    """Write desktop entry, AppStream metainfo, MIME type, icons and manual below `folder`; the files.

    The same sources give the same bytes.
    """
    sources = {DESKTOP_FILE: HERE / "app.desktop", METAINFO_FILE: HERE / "metainfo.xml", MIME_FILE: HERE / "mime.xml",
               SVG_FILE: ICON}
    contents = {name: source.read_bytes() for name, source in sources.items()}
    contents |= {png_file(size): png(size) for size in PNG_SIZES}
    contents |= {f"man/man1/{name}.gz": gzip.compress(page.encode("utf-8"), 9, mtime=0)
                 for name, page in pages().items()}
    for name, data in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o644)
    return [folder / name for name in contents]
