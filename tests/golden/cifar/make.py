"""CIFAR's Python version in small: pickles as the official files have them, and as Python writes them today.

    python make.py        # NumPy 2.4; writes beside this script

`python2/` is laid out opcode by opcode like the official files, which Python 2 wrote, `python2-text/` as it wrote protocol 0; reading them back with
`pickle.load(.., encoding="bytes")` and comparing is part of the script. `protocol-P/` are what `pickle.dump` of today's
NumPy gives. Pixel p of image n is (3 p + 5 n + p // 1024) % 256; the test (tests/data/cifar.rs) knows it too.
"""

import pickle
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
IMAGES = 2


def pixels() -> np.ndarray:
    n, p = np.mgrid[0:IMAGES, 0:3072]
    return ((3 * p + 5 * n + p // 1024) % 256).astype(np.uint8)


class Old:
    """Writes what cPickle of Python 2 wrote for protocol 2."""

    def __init__(self) -> None:
        self.out = b"\x80\x02"
        self.memo = 0

    def put(self) -> None:
        self.memo += 1
        self.out += b"q" + bytes([self.memo])

    def text(self, text: bytes) -> None:
        self.out += b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<I", len(text)) + text
        self.put()

    def number(self, value: int) -> None:
        self.out += b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    def texts(self, items: list) -> None:
        self.out += b"]"
        self.put()
        self.out += b"("
        for item in items:
            self.text(item) if isinstance(item, bytes) else self.number(item)
        self.out += b"e"

    def array(self, array: np.ndarray) -> None:
        self.out += b"cnumpy.core.multiarray\n_reconstruct\n"
        self.put()
        self.out += b"cnumpy\nndarray\n"
        self.put()
        self.out += b"K\x00\x85U\x01b\x87R"
        self.put()
        self.out += b"(K\x01"
        for size in array.shape:
            self.number(size)
        self.out += b"\x86cnumpy\ndtype\n"
        self.put()
        self.out += b"U\x02u1K\x00K\x01\x87R"
        self.put()
        self.out += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        self.text(array.tobytes())
        self.out += b"tb"

    def dict(self, items: dict) -> bytes:
        self.out += b"}"
        self.put()
        self.out += b"("
        for key, value in items.items():
            self.text(key)
            if isinstance(value, bytes):
                self.text(value)
            elif isinstance(value, np.ndarray):
                self.array(value)
            elif isinstance(value, int):
                self.number(value)
            else:
                self.texts(value)
        return self.out + b"u."


def lines(value) -> bytes:
    """What Python 2 wrote for protocol 0, without the memo."""
    match value:
        case dict():
            return b"(d" + b"".join(lines(key) + lines(item) + b"s" for key, item in value.items())
        case list():
            return b"(l" + b"".join(lines(item) + b"a" for item in value)
        case bytes():
            return b"S" + repr(value)[1:].encode() + b"\n"
        case int():
            return b"I%d\n" % value
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    dtype = b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
    return made + b"(I1\n(I%d\nI%d\nt" % value.shape + dtype + b"I00\n" + lines(value.tobytes()) + b"tb"


def write(path: Path, value: dict, protocol: int | str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if protocol is None or protocol == "text":
        content = Old().dict(value) if protocol is None else lines(value) + b"."
        back = pickle.loads(content, encoding="bytes")
        assert back.keys() == value.keys()
        assert all(np.array_equal(back[key], value[key]) for key in value)
    else:
        text = lambda item: item.decode() if isinstance(item, bytes) else item
        plain = {text(key): [text(item) for item in items] if isinstance(items, list) else text(items) for key, items in value.items()}
        content = pickle.dumps(plain, protocol)
    path.write_bytes(content)


def main() -> None:
    classes = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
    fine = [b"fine %d" % n for n in range(100)]
    for name, protocol in [("python2", None), ("python2-text", "text"), ("protocol-0", 0), ("protocol-2", 2), ("protocol-4", 4), ("protocol-5", 5)]:
        small = {b"batch_label": b"testing batch 1 of 1", b"labels": [9, 3], b"data": pixels(), b"filenames": [b"a.png", b"b.png"]}
        write(HERE / name / "test_batch", small, protocol)
        names = {b"num_cases_per_batch": 10000, b"label_names": classes, b"num_vis": 3072}
        write(HERE / name / "batches.meta", names, protocol)
    hundred = {b"filenames": [b"a.png", b"b.png"], b"batch_label": b"", b"fine_labels": [99, 4], b"coarse_labels": [1, 2], b"data": pixels()}
    write(HERE / "python2" / "test", hundred, None)
    names = {b"fine_label_names": fine, b"coarse_label_names": [b"coarse %d" % n for n in range(20)]}
    write(HERE / "python2" / "meta", names, None)


if __name__ == "__main__":
    main()
