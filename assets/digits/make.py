"""Cuts the embedded digits out of the official MNIST files.

    python make.py FOLDER

FOLDER holds the four official IDX files, unpacked. The first 8,000 training and the first 2,000 test images,
in file order, are written beside this script as IDX .gz (level 9, no time stamp, no name: the same input
gives the same bytes with the same zlib). Standard library only.
"""

import gzip
import hashlib
import io
import struct
import sys
from pathlib import Path

# MD5 of the official files, unpacked.
FILES = {
    "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", 8000),
    "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", 8000),
    "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", 2000),
    "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", 2000),
}


def cut(data: bytes, keep: int) -> bytes:
    """The first `keep` items of an IDX file."""
    dims = data[3]
    sizes = struct.unpack(f">{dims}I", data[4 : 4 + 4 * dims])
    item = 1
    for size in sizes[1:]:
        item *= size
    start = 4 + 4 * dims
    return data[:4] + struct.pack(f">{dims}I", keep, *sizes[1:]) + data[start : start + keep * item]


def main() -> None:
    source = Path(sys.argv[1])
    for name, (md5, keep) in FILES.items():
        data = (source / name).read_bytes()
        found = hashlib.md5(data).hexdigest()
        if found != md5:
            sys.exit(f"{source / name}: MD5 is {found}, the official file has {md5}")
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as out:
            out.write(cut(data, keep))
        packed = buffer.getvalue()
        target = Path(__file__).resolve().parent / f"{name}.gz"
        target.write_bytes(packed)
        print(f"{hashlib.sha256(packed).hexdigest()}  {target.name}  {len(packed)} bytes")


main()
