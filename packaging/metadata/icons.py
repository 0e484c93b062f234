"""The icon in every form that systems ask for, drawn from the one SVG: PNG, Windows' .ico, macOS's .icns.

Both containers hold PNGs as they are (Windows since Vista, macOS since 10.7), so that each is a table of contents and
the files behind it.
"""

from __future__ import annotations

import struct
from pathlib import Path

from metadata.identity import ICON

PNG_SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)  # pixels; those that icon themes look for
_ICO_SIZES = (16, 20, 24, 32, 40, 48, 64, 128, 256)  # 20 and 40: small icons at 125 % and 250 %
# macOS's names of an entry: of 1x, then of 2x displays. Those that Pillow writes too; 16 and 32 pixels at 1x have only
# names under which older systems do not expect a PNG, and are scaled from what is there.
_ICNS_SIZES = {b"ic07": 128, b"ic08": 256, b"ic09": 512,
               b"ic11": 32, b"ic12": 64, b"ic13": 256, b"ic14": 512, b"ic10": 1024}


def png(size: int) -> bytes:
    """The icon as a PNG of `size` x `size` pixels, on a transparent ground."""
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(ICON)).render(painter)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]  # the stubs know only of str here
    return bytes(data.data())


def write_ico(path: Path) -> Path:
    """Windows' icon. Format: six bytes, then sixteen for each picture, then the pictures."""
    pictures = [(size, png(size)) for size in _ICO_SIZES]
    offset = 6 + 16 * len(pictures)
    contents = [struct.pack("<HHH", 0, 1, len(pictures))]
    for size, data in pictures:
        side = size % 256  # 256 is written as 0
        contents.append(struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(data), offset))
        offset += len(data)
    path.write_bytes(b"".join([*contents, *(data for _, data in pictures)]))
    return path


def write_icns(path: Path) -> Path:
    """macOS's icon. Format: eight bytes, then each picture with its name and length before it, big-endian."""
    pictures = {size: png(size) for size in set(_ICNS_SIZES.values())}
    entries = [name + struct.pack(">I", 8 + len(pictures[size])) + pictures[size] for name, size in _ICNS_SIZES.items()]
    whole = b"".join(entries)
    path.write_bytes(b"icns" + struct.pack(">I", 8 + len(whole)) + whole)
    return path
