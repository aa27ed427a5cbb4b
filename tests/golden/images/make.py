"""Small JPEG and PNG files in every form that a data folder may hold, and the pixels that Pillow gives for them.

    python make.py        # Pillow 11.3, numpy; writes beside this script

`NAME.jpg` / `NAME.png` are inputs. `NAME.rgb.png` is `Image.open(..).convert("RGB")`, and
`NAME.S.png` is that image after torchvision's evaluation transform on Pillow images, written out below in its
own terms: resize the shorter side to int(S * 8 / 7) with the antialiased bilinear filter, centre crop S. Pixels come
from formulas, so the script gives the same files anywhere with this version of Pillow. (`tall_png.28.png` is
Pillow 13's: from that version on columns are resized before rows where the height loses more than twice as many pixels as
the width, and so does the program.)
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent


def picture(width: int, height: int) -> np.ndarray:
    """Waves, edges and a fine check pattern, [height, width, 3], 0..=255."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 127.5 + 127.5 * np.sin(x / 5 + y / 11)
    green = 255 * (((x // 9) + (y // 7)) % 2)
    blue = np.where((x.astype(int) + y.astype(int)) % 2 == 0, 255 * x / width, 255 * y / height)
    return np.rint(np.stack([red, green, blue], -1)).astype(np.uint8)


def smooth(width: int, height: int) -> np.ndarray:
    """What JPEG keeps nearly unchanged: low frequencies only."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x / 9 + y / 14), np.cos(x / 12 - y / 10), np.sin((x + y) / 17)]
    return np.rint(127.5 + 90 * np.stack(waves, -1)).astype(np.uint8)


def resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    short = int(size * 8 / 7)
    if width <= height:
        target = (short, int(short * height / width))
    else:
        target = (int(short * width / height), short)
    image = image.resize(target, Image.Resampling.BILINEAR)
    left = int(round((image.width - size) / 2.0))
    top = int(round((image.height - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def save(name: str, image: Image.Image, **options) -> None:
    image.save(HERE / name, **options)


def main() -> None:
    wide = Image.fromarray(picture(101, 67))
    tall = Image.fromarray(picture(43, 90))
    alpha = np.dstack([picture(20, 16), (np.arange(320).reshape(16, 20) % 256).astype(np.uint8)])
    save("rgb.png", wide)
    save("tall.png", tall)
    save("rgba.png", Image.fromarray(alpha))
    save("grey.png", wide.convert("L").crop((0, 0, 24, 18)))
    save("grey_alpha.png", Image.fromarray(alpha).convert("LA"))
    save("palette.png", wide.crop((0, 0, 24, 18)).quantize(13), bits=4)
    save("bilevel.png", wide.crop((0, 0, 24, 18)).convert("1"))
    grey16 = (np.arange(24 * 18).reshape(18, 24) * 151).astype(np.uint16)
    save("grey16.png", Image.fromarray(grey16))
    save("colour.jpg", Image.fromarray(smooth(64, 64)), quality=90, subsampling=0)
    save("subsampled.jpg", Image.fromarray(smooth(64, 64)), quality=90, subsampling=2)
    save("progressive.jpg", Image.fromarray(smooth(64, 64)), quality=90, progressive=True)
    inks = np.dstack([smooth(64, 64), smooth(64, 64)[::-1, :, 0] // 3])
    save("cmyk.jpg", Image.merge("CMYK", [Image.fromarray(ink) for ink in np.moveaxis(inks, -1, 0)]), quality=90)
    save("grey.jpg", Image.fromarray(smooth(64, 64)).convert("L"), quality=90)

    for path in sorted(HERE.glob("*.*")):
        if path.suffix not in (".png", ".jpg") or path.name.count(".") != 1:
            continue
        name = path.name.replace(".", "_")
        plain = Image.open(path).convert("RGB")
        save(f"{name}.rgb.png", plain)
    # Shrinking, enlarging, and both orientations; 28 leaves an odd surplus on one side.
    for stem, size in [("rgb", 28), ("rgb", 13), ("rgb", 80), ("tall", 28), ("tall", 64)]:
        save(f"{stem}_png.{size}.png", resize_and_crop(Image.open(HERE / f"{stem}.png").convert("RGB"), size))


main()
