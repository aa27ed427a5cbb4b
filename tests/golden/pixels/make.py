"""Small image files of every kind that is decoded, broken ones among them, and the pixels that Pillow gives for them.

    python make.py [TINY_IMAGENET]      # Pillow 13.0 (libjpeg-turbo 3.2.0), numpy, torchvision; writes beside this script

A line of `pixels.txt` is a file's name, width, height and the SHA-256 of `Image.open(..).convert("RGB").tobytes()`. Pixels
come from formulas. Kinds that Pillow does not write are made from its files by another header, or byte by byte.

With the folder of Tiny ImageNet (the part of it in tiny-imagenet-subset.tar) two more lines are printed, for the test that
reads it: the SHA-256 of all pixels of a split, [N, 3, 64, 64], in the order of `ImageFolder` and of val_annotations.txt.
"""

import hashlib
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
files = {}


def picture(width, height, channels=3, seed=0):
    """Waves, edges and noise: every coefficient of a block is used."""
    noise = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / (3 + c) + y / (5 - c) + c) + 40 * ((x // 5 + y // 7) % 2) for c in range(channels)]
    return (np.stack(planes, -1) + noise.normal(0, 12, (height, width, channels))).clip(0, 255).astype(np.uint8)


def image(width, height, mode="RGB", seed=0):
    if mode == "CMYK":
        return Image.merge("CMYK", [Image.fromarray(plane) for plane in np.moveaxis(picture(width, height, 4, seed), -1, 0)])
    return Image.fromarray(picture(width, height, seed=seed)).convert(mode)


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(picture, **options):
    return saved(picture, "JPEG", **{"quality": 75, **options})


# JPEG


def with_factors(data, factors, size):
    """The same coefficients as blocks of other sampling factors, which must give the same number of MCUs."""
    data, at = bytearray(data), 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    data[at + 5 : at + 9] = struct.pack(">HH", size[1], size[0])
    for number, factor in enumerate(factors):
        data[at + 11 + 3 * number] = factor
    return bytes(data)


def without(data, marker):
    """Without the segments of a kind."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        out += b"" if data[at + 1] == marker else data[at:end]
        at = end
    return out + data[at:]


def cut_scans(data, count):
    """Only the first scans of a progressive file, with an end marker."""
    at = -1
    for _ in range(count + 1):
        at = data.index(b"\xff\xda", at + 1)
    return data[:at] + b"\xff\xd9"


def jpegs():
    odd = (37, 29)
    for name, sampling in [("444", 0), ("422", 1), ("420", 2)]:
        for kind, progressive in [("baseline", False), ("progressive", True)]:
            files[f"{kind}_{name}.jpg"] = jpeg(image(*odd), subsampling=sampling, progressive=progressive)
    files["quality_30.jpg"] = jpeg(image(*odd), quality=30)
    files["quality_95.jpg"] = jpeg(image(24, 17), quality=95, subsampling=0)
    files["quality_100.jpg"] = jpeg(image(24, 17), quality=100)
    files["440.jpg"] = with_factors(jpeg(image(*odd), subsampling=1), [0x12], (29, 37))
    files["progressive_440.jpg"] = with_factors(jpeg(image(*odd), subsampling=1, progressive=True), [0x12], (29, 37))
    # Chrominance at a quarter of the width, which is repeated.
    files["411.jpg"] = with_factors(jpeg(image(48, 32)), [0x41], (77, 13))
    # One of the colours has more samples than luminance.
    files["luminance_halved.jpg"] = with_factors(jpeg(image(24, 24)), [0x11, 0x22, 0x11], (33, 27))
    for size in [(1, 1), (3, 2), (4, 5), (8, 8), (16, 17), (2, 40)]:
        files["size_{}x{}.jpg".format(*size)] = jpeg(image(*size))
    files["grey.jpg"] = jpeg(image(*odd, "L"))
    files["grey_progressive.jpg"] = jpeg(image(*odd, "L"), progressive=True)
    files["grey_factors.jpg"] = with_factors(jpeg(image(*odd, "L")), [0x22], odd)
    files["rgb_coded.jpg"] = jpeg(image(*odd), keep_rgb=True, subsampling=0)
    cmyk = jpeg(image(20, 13, "CMYK"))
    files["cmyk.jpg"] = cmyk
    ycck = bytearray(cmyk)
    ycck[ycck.index(b"Adobe") + 11] = 2
    files["ycck.jpg"] = bytes(ycck)
    files["cmyk_progressive.jpg"] = jpeg(image(20, 13, "CMYK"), progressive=True)
    files["no_adobe_cmyk.jpg"] = without(cmyk, 0xEE)
    files["no_jfif.jpg"] = without(jpeg(image(*odd)), 0xE0)
    files["restart_rows.jpg"] = jpeg(image(*odd), restart_marker_rows=1)
    files["restart_blocks.jpg"] = jpeg(image(*odd), restart_marker_blocks=2)
    files["restart_progressive.jpg"] = jpeg(image(*odd), restart_marker_blocks=2, progressive=True)
    files["no_huffman_tables.jpg"] = without(jpeg(image(*odd)), 0xC4)
    files["orientation.jpg"] = jpeg(image(20, 13), exif=turned())
    whole = files["restart_blocks.jpg"]
    files["restart_marker_lost.jpg"] = whole.replace(b"\xff\xd1", b"\x12\x34")
    files["restart_marker_twice.jpg"] = whole.replace(b"\xff\xd1", b"\xff\xd0")
    whole = files["baseline_420.jpg"]
    files["stray_bytes.jpg"] = whole[:20] + b"stray" + whole[20:]
    files["early_end.jpg"] = whole[: len(whole) * 2 // 3] + b"\xff\xd9"
    broken = bytearray(whole)
    broken[len(whole) * 3 // 4 :: 9] = b"\x55" * len(broken[len(whole) * 3 // 4 :: 9])
    broken[-2:] = b"\xff\xd9"
    files["broken_codes.jpg"] = bytes(broken)
    whole = files["progressive_420.jpg"]
    for count in [1, 3, 6]:
        files[f"unfinished_{count}.jpg"] = cut_scans(whole, count)
    files["early_end_progressive.jpg"] = cut_scans(whole, 4)[: -2 - 40] + b"\xff\xd9"
    # Coefficients that fit nowhere: the steps are up to 255.
    files["coarse.jpg"] = jpeg(image(24, 17), qtables=[[255] * 64, [255] * 64])
    steps = bytearray(files["quality_100.jpg"])
    for at in [i for i in range(len(steps) - 1) if steps[i : i + 2] == b"\xff\xdb"]:
        steps[at + 5 : at + 69] = b"\xff" * 64
    files["overflowing.jpg"] = bytes(steps)


    # All components of one id: they are told apart by their order.
    shared = bytearray(files["baseline_444.jpg"])
    frame, scan = shared.index(b"\xff\xc0"), shared.index(b"\xff\xda")
    for number in range(3):
        shared[frame + 10 + 3 * number] = shared[scan + 5 + 2 * number] = 7
    files["shared_ids.jpg"] = bytes(shared)


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


# PNG


def chunk(kind, content, check=None):
    check = zlib.crc32(kind + content) if check is None else check
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png(colour, bits, width, height, rows, extra=b""):
    raw = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def pngs():
    values = np.arange(60, dtype=np.uint16) * 37
    files["grey_16.png"] = png(0, 16, 12, 5, [values[12 * y : 12 * y + 12].astype(">u2").tobytes() for y in range(5)])
    values = (np.arange(60) * 1091 % 65536).astype(">u2")
    files["grey_alpha_16.png"] = png(4, 16, 6, 5, [values[12 * y : 12 * y + 12].tobytes() for y in range(5)])
    files["rgb_16.png"] = png(2, 16, 4, 5, [values[12 * y : 12 * y + 12].tobytes() for y in range(5)])
    files["rgba_16.png"] = png(6, 16, 3, 5, [values[12 * y : 12 * y + 12].tobytes() for y in range(5)])
    for bits in [1, 2, 4]:
        files[f"grey_{bits}.png"] = png(0, bits, 13, 2, [bytes([0x1B, 0xE4, 0x27, 0xC6, 0x5A, 0x93, 0x0F])[: (13 * bits + 7) // 8]] * 2)
    palette = image(24, 18).quantize(13)
    files["palette_transparent.png"] = saved(palette, "PNG", bits=4, transparency=b"\x10\x80\x00")


def interlaced(colour, bits, width, height):
    """All filters in turn, on noise."""
    noise, raw = np.random.RandomState(bits), b""
    for x, y, across, down in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        length = (len(range(x, width, across)) * bits + 7) // 8
        raw += b"".join(bytes([row % 5]) + noise.bytes(length) for row in range(len(range(y, height, down))) if length)
    depth = bits // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 1)
    palette = chunk(b"PLTE", noise.bytes(3 << depth)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def odd_pngs():
    """Not quite right, and read."""
    for name, form in [("grey_1", (0, 1)), ("grey_16", (0, 16)), ("palette_4", (3, 4)), ("rgb", (2, 24)), ("rgba_16", (6, 64))]:
        files[f"interlaced_{name}.png"] = interlaced(*form, 13, 11)
    files["interlaced_1x9.png"] = interlaced(2, 24, 1, 9)
    noise = np.random.RandomState(5)
    rows = [noise.bytes(15) for _ in range(4)]
    whole = png(2, 8, 5, 4, rows)
    head, end = whole[:33], len(whole) - 12
    data = whole[41 : end - 4]
    files["no_end.png"] = whole[:end]
    files["cut_end.png"] = whole[:-6]
    files["cut_check_value.png"] = whole[: end - 2]
    files["no_sum.png"] = head + chunk(b"IDAT", data[:-4]) + whole[end:]
    files["cut_in_sum.png"] = whole[: end - 6]
    files["wrong_check_value.png"] = head + chunk(b"IDAT", data, 5) + whole[end:]
    files["wrong_text_after.png"] = whole[:end] + chunk(b"tEXt", b"a\0b", 5) + whole[end:]
    files["few_rows.png"] = png(2, 8, 5, 4, rows[:2])
    files["many_rows.png"] = png(2, 8, 5, 2, rows)
    files["in_parts.png"] = head + b"".join(chunk(b"IDAT", part) for part in (data[:9], b"", data[9:20], data[20:], b"more"))
    indices = [bytes([0, 1, 2, 200]), bytes([3, 4, 5, 255])]
    files["no_palette.png"] = png(3, 8, 4, 2, indices)
    files["no_palette_4.png"] = png(3, 4, 4, 2, [b"\x01\xf2"] * 2)
    files["palette_of_3.png"] = png(3, 8, 4, 2, indices, chunk(b"PLTE", bytes(range(60, 69))))
    files["odd_palette.png"] = png(3, 8, 4, 2, indices, chunk(b"PLTE", bytes(range(60, 68))))
    files["two_palettes.png"] = png(3, 8, 4, 2, indices, chunk(b"PLTE", bytes(9)) + chunk(b"PLTE", bytes(range(60, 66))))


# BMP


def bmp(width, height, bits, data, header=40, compression=0, palette=b"", masks=b"", colours=0):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    info += masks
    start = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + info + palette + data


def bmps():
    for name, mode in [("rgb", "RGB"), ("grey", "L"), ("bilevel", "1"), ("palette", "P"), ("rgba", "RGBA")]:
        files[f"{name}.bmp"] = saved(image(13, 9, mode), "BMP")
    noise = np.random.RandomState(1).bytes(400)
    files["short_555.bmp"] = bmp(7, 5, 16, noise[: 16 * 5])
    files["short_565.bmp"] = bmp(7, 5, 16, noise[: 16 * 5], compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    files["masks_32.bmp"] = bmp(7, 5, 32, noise[: 28 * 5], compression=3, masks=struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00))
    files["top_down.bmp"] = bmp(7, -5, 24, noise[: 24 * 5])
    colours = bytes(value for i in range(16) for value in (17 * i, 255 - 17 * i, 40 + i, 0))
    files["palette_4.bmp"] = bmp(7, 5, 4, noise[: 4 * 5], palette=colours)
    files["palette_of_5.bmp"] = bmp(7, 5, 4, noise[: 4 * 5], palette=colours[:20], colours=5)
    old = b"".join(colours[i : i + 3] for i in range(0, 64, 4))
    files["old_header.bmp"] = bmp(7, 5, 4, noise[: 4 * 5], header=12, palette=old)
    runs = b"\x05\x01\x02\x03\x00\x00" + b"\x00\x05\x01\x02\x03\x04\x05\x00\x02\x07\x00\x00" + b"\x00\x02\x02\x01\x03\x09\x00\x00\x07\x0b\x00\x00\x00\x01"
    files["runs_8.bmp"] = bmp(7, 5, 8, runs, compression=1, palette=colours, colours=16)
    runs = b"\x05\x12\x02\x34\x00\x00" + b"\x00\x05\x12\x34\x50\x00\x02\x77\x00\x00" + b"\x07\x9a\x00\x00\x07\xbc\x00\x00\x07\xde\x00\x01"
    files["runs_4.bmp"] = bmp(7, 5, 4, runs, compression=2, palette=colours)
    # Read as if of 1 bit.
    files["black_alone.bmp"] = bmp(13, 5, 1, noise[: 4 * 5], palette=bytes(4), colours=1)
    files["black_and_white_8.bmp"] = bmp(13, 5, 8, noise[: 16 * 5], palette=bytes(4) + b"\xff\xff\xff\0", colours=2)


# TIFF


def tiff(order, tags, chunks):
    """Tags are (number, values of 16 or 32 bits); chunks are the strips or tiles, whose places the tags 273 or 324 name."""
    tags = dict(tags)
    places = 324 if 322 in tags else 273
    tags[places], tags[279 if places == 273 else 325] = [0] * len(chunks), [len(chunk) for chunk in chunks]
    tail, start = b"", 8 + 2 + 12 * len(tags) + 4
    at = start + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    for number, chunk in enumerate(chunks):
        tags[places][number] = at
        at += len(chunk)
    entries = b""
    for number, values in sorted(tags.items()):
        raw = b"".join(struct.pack(order + "I", value) for value in values)
        if len(values) > 1:
            raw, tail = struct.pack(order + "I", start + len(tail)), tail + raw
        entries += struct.pack(order + "HHI", number, 4, len(values)) + raw
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + struct.pack(order + "I", 0) + tail + b"".join(chunks)


def tiffs():
    for name, mode in [("rgb", "RGB"), ("grey", "L"), ("bilevel", "1"), ("palette", "P"), ("rgba", "RGBA"), ("cmyk", "CMYK"), ("grey_alpha", "LA")]:
        files[f"{name}.tif"] = saved(image(13, 9, mode), "TIFF")
    for name in ["tiff_lzw", "tiff_adobe_deflate", "packbits"]:
        files[f"{name}.tif"] = saved(image(13, 9), "TIFF", compression=name)
        files[f"{name}_bilevel.tif"] = saved(image(13, 9, "1"), "TIFF", compression=name)
    files["lzw_differences.tif"] = saved(image(13, 9), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    pixels = picture(13, 9)
    size = {256: [13], 257: [9]}
    rgb = {**size, 258: [8, 8, 8], 262: [2], 277: [3]}
    files["strips_big_endian.tif"] = tiff(">", {**rgb, 278: [4]}, [pixels[y : y + 4].tobytes() for y in (0, 4, 8)])
    files["planes.tif"] = tiff("<", {**rgb, 278: [9], 284: [2]}, [np.ascontiguousarray(pixels[..., c]).tobytes() for c in range(3)])
    padded = np.zeros((16, 16, 3), np.uint8)
    padded[:9, :13] = pixels
    tiles = [zlib.compress(np.ascontiguousarray(padded[y : y + 8, x : x + 8]).tobytes()) for y in (0, 8) for x in (0, 8)]
    files["tiles.tif"] = tiff("<", {**rgb, 259: [8], 322: [8], 323: [8]}, tiles)
    files["orientation_6.tif"] = tiff("<", {**rgb, 274: [6]}, [pixels.tobytes()])
    files["orientation_7.tif"] = tiff("<", {**rgb, 274: [7]}, [pixels.tobytes()])
    files["white_is_zero.tif"] = tiff("<", {**size, 258: [8], 262: [0]}, [np.ascontiguousarray(pixels[..., 0]).tobytes()])
    deep = (np.arange(13 * 9 * 3) * 523 % 65536).astype("<u2")
    files["rgb_16.tif"] = tiff("<", {**rgb, 258: [16, 16, 16]}, [deep.tobytes()])
    files["rgb_16_big_endian.tif"] = tiff(">", {**rgb, 258: [16, 16, 16]}, [deep.astype(">u2").tobytes()])
    files["grey_16.tif"] = tiff("<", {**size, 258: [16], 262: [1]}, [deep[: 13 * 9].tobytes()])
    four = {**size, 258: [4], 262: [3], 320: [257 * (i * 7 % 256) for i in range(48)]}
    files["palette_4.tif"] = tiff("<", four, [np.random.RandomState(2).bytes(7 * 9)])
    files["grey_2.tif"] = tiff("<", {**size, 258: [2], 262: [1]}, [np.random.RandomState(3).bytes(4 * 9)])
    files["reversed_bits.tif"] = tiff("<", {**size, 258: [1], 262: [1], 266: [2]}, [np.random.RandomState(4).bytes(2 * 9)])
    four = {**size, 258: [8, 8, 8, 8], 262: [2], 277: [4]}
    data = picture(13, 9, 4).tobytes()
    files["alpha_multiplied.tif"] = tiff("<", {**four, 338: [1]}, [data])
    files["alpha_unused.tif"] = tiff("<", {**four, 338: [0]}, [data])


# WebP, GIF, PNM


def others():
    for mode in ["RGB", "RGBA"]:
        name = mode.lower()
        picture = image(37, 29, mode)
        if mode == "RGBA":
            picture.putalpha(Image.fromarray((np.mgrid[0:29, 0:37][1] * 6 + 20).astype(np.uint8)))
        files[f"{name}_lossless.webp"] = saved(picture, "WEBP", lossless=True)
        files[f"{name}_lossy.webp"] = saved(picture, "WEBP", quality=80)
        files[f"{name}_coarse.webp"] = saved(picture, "WEBP", quality=20)
    files["animated.webp"] = saved(image(16, 11), "WEBP", save_all=True, append_images=[image(16, 11, seed=1)], lossless=True)
    files["palette.gif"] = saved(image(23, 17), "GIF")
    files["interlaced.gif"] = saved(image(23, 17), "GIF", interlace=1)
    files["grey.gif"] = saved(image(23, 17, "L"), "GIF")
    files["transparent.gif"] = saved(image(23, 17, "P"), "GIF", transparency=3)
    files["animated.gif"] = saved(image(23, 17), "GIF", save_all=True, append_images=[image(23, 17, seed=1)])
    # A frame that leaves room around it.
    inset = bytearray(files["transparent.gif"])
    inset[6:10] = struct.pack("<HH", 30, 21)
    at = inset.index(b",\0\0\0\0" + struct.pack("<HH", 23, 17))
    inset[at + 1 : at + 5] = struct.pack("<HH", 4, 3)
    files["inset.gif"] = bytes(inset)
    files["rgb.ppm"] = saved(image(13, 9), "PPM")
    files["grey.pgm"] = saved(image(13, 9, "L"), "PPM")
    files["bilevel.pgm"] = saved(image(13, 9, "1"), "PPM")
    text = " ".join(str(value) for value in picture_values(5 * 4 * 3, 256))
    files["text.ppm"] = f"P3\n# a comment\n5 4 # another\n255\n{text}\n".encode()
    text = "\n".join(str(value) for value in picture_values(5 * 4, 101))
    files["text_100.pgm"] = f"P2 5\n4\n100\n{text}".encode()
    files["text_bilevel.pgm"] = b"P1\n7 3\n1010011\n0 1 1 # x\n0 1 0 1\n1110001"
    files["grey_100.pgm"] = b"P5 5 4 100\n" + bytes(picture_values(20, 256))
    deep = np.arange(20, dtype=np.uint16) * 40
    files["grey_65535.pgm"] = b"P5 5 4 65535\n" + deep.astype(">u2").tobytes()
    files["grey_4095.pgm"] = b"P5 5 4 4095\n" + (deep // 40).astype(">u2").tobytes()
    files["rgb_1000.ppm"] = b"P6 5 4 1000\n" + (np.arange(60) * 20).astype(">u2").tobytes()


def picture_values(count, top):
    return [i * 89 % top for i in range(count)]


def real(folder):
    from torchvision.datasets import ImageFolder

    digest = hashlib.sha256()
    for pixels, _ in ImageFolder(folder / "train"):
        digest.update(np.asarray(pixels).transpose(2, 0, 1).tobytes())
    print("train", digest.hexdigest())
    digest = hashlib.sha256()
    for line in (folder / "val" / "val_annotations.txt").read_text().splitlines():
        pixels = Image.open(folder / "val" / "images" / line.split("\t")[0]).convert("RGB")
        digest.update(np.asarray(pixels).transpose(2, 0, 1).tobytes())
    print("val", digest.hexdigest())


def main():
    for make in (jpegs, pngs, odd_pngs, bmps, tiffs, others):
        make()
    lines = []
    for name, content in sorted(files.items()):
        (HERE / name).write_bytes(content)
        pixels = Image.open(HERE / name).convert("RGB")
        lines.append(f"{name} {pixels.width} {pixels.height} {hashlib.sha256(pixels.tobytes()).hexdigest()}\n")
    (HERE / "pixels.txt").write_text("".join(lines))
    if len(sys.argv) > 1:
        real(Path(sys.argv[1]))


main()
