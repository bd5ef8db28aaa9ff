"""Makes a screenshot small: its colours are rounded to a palette of at most 256, and it is packed as well as zlib can."""

import struct
import zlib
from collections import Counter

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEAR = 48  # the square of a distance that nobody sees: 4 in each of three channels


def chunks(data):
    place = len(SIGNATURE)
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rows_of(data):
    """(width, rows of RGB bytes) of a PNG with 8 bits a channel, without interlacing."""
    parts = list(chunks(data))
    width, _, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", parts[0][1])
    channels = {2: 3, 6: 4}[colour]
    if depth != 8 or interlace:
        raise ValueError("only 8 bits a channel, not interlaced")
    raw = zlib.decompress(b"".join(content for kind, content in parts if kind == b"IDAT"))
    stride = width * channels
    rows, above = [], bytearray(stride)
    for start in range(0, len(raw), stride + 1):
        row = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        rows.append(row if channels == 3 else b"".join(bytes(row[at : at + 3]) for at in range(0, stride, 4)))
        above = row
    return width, rows


def unfiltered(kind, row, above, channels):
    if kind == 2:
        return bytearray((one + up) & 255 for one, up in zip(row, above))
    if kind:
        for at in range(len(row)):
            left = row[at - channels] if at >= channels else 0
            up = above[at]
            corner = above[at - channels] if at >= channels else 0
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + up) // 2
            else:
                guess = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
            row[at] = (row[at] + guess) & 255
    return row


def palette(rows):
    """Every colour's number, and the colours: the most frequent ones that are told apart; the others take the nearest."""
    counts = Counter()
    for row in rows:
        counts.update(bytes(row[at : at + 3]) for at in range(0, len(row), 3))
    kept, numbers = [], {}
    for colour, _ in counts.most_common():
        distance, nearest = min(
            ((sum((a - b) ** 2 for a, b in zip(other, colour)), number) for number, other in enumerate(kept)),
            default=(NEAR, 0),
        )
        if distance >= NEAR and len(kept) < 256:
            nearest = len(kept)
            kept.append(colour)
        numbers[colour] = nearest
    return numbers, kept


def reduced(data):
    """The same picture in a PNG with a palette."""
    width, rows = rows_of(data)
    numbers, kept = palette(rows)
    raw = b"".join(b"\0" + bytes(numbers[bytes(row[at : at + 3])] for at in range(0, len(row), 3)) for row in rows)
    header = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    packer = zlib.compressobj(9, zlib.DEFLATED, 15, 9)
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + chunk(b"PLTE", b"".join(kept))
        + chunk(b"IDAT", packer.compress(raw) + packer.flush())
        + chunk(b"IEND", b"")
    )
