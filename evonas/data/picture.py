"""How a picture becomes numbers. Searches and exported networks read pictures by the functions of this file: the
`network.py` of an export has them as they stand here. They need Pillow and nothing else, and load it when they are
called."""

import os

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # channels -> Pillow's mode that has them
SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff", ".tga"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".pcx", ".qoi", ".ico"),
}


def is_picture(path):
    """Whether the file's name says that it is a picture."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def is_hidden(name):
    """Whether a file or folder is none of the user's pictures, as .ipynb_checkpoints."""
    return name.startswith(".") or name == "__MACOSX"


def files_below(folder):
    """The paths of the files in a folder and in those below it, in order. A file counts once, by whatever links it is
    found; hidden ones, pipes and devices are left out. Raises OSError where a folder cannot be read."""
    top = os.path.realpath(folder)
    seen = {top}

    def is_new(path):
        real = os.path.realpath(path)
        found = real not in seen and not top.startswith(os.path.join(real, ""))  # a link to a folder above
        seen.add(real)
        return found

    def fail(error):
        raise error

    for place, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        folders[:] = [name for name in sorted(folders) if not is_hidden(name) and is_new(os.path.join(place, name))]
        for name in sorted(names):
            path = os.path.join(place, name)
            if not is_hidden(name) and (os.path.isfile(path) or not os.path.exists(path)) and is_new(path):
                yield path


def upright(image):
    """A picture as it is meant to be seen: turned as its EXIF data say, with 8 bits a channel.

    Raises ValueError for whole numbers of 32 bits and for floats: nothing says which of them is white.
    """
    from PIL import ImageOps

    sixteen_bits = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode in ("I", "F") and not sixteen_bits:
        raise ValueError(f"its mode is {image.mode}, whose values have no known range; save it with 8 or 16 bits")
    image = ImageOps.exif_transpose(image)
    return image.convert("F").point(lambda value: value * (1 / 257) + 0.5).convert("L") if sixteen_bits else image


def in_mode(image, mode):
    """A picture of 8 bits a channel in another mode. What is transparent is laid on white, unless the mode has an alpha
    channel of its own."""
    from PIL import Image

    if image.has_transparency_data and "A" not in mode:
        image = image.convert("LA") if image.mode == "La" else image
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert(mode)


def resized(band, size):
    """One channel of a picture in another (width, height), by a bilinear filter that averages where it shrinks."""
    from PIL import Image

    return band if size in (None, band.size) else band.resize(size, Image.Resampling.BILINEAR)


def bands(image, channels, size=None, pixel=1.0, whole=True):
    """The channels of a picture in the values of the training data, each as a Pillow image of its own.

    image      an open Pillow image
    channels   1: grey, 3: RGB, 2 and 4: these with an alpha channel
    size       (width, height) of what comes out; None: those of the picture
    pixel      what a step of a picture's 0 to 255 is in the values of the training data
    whole      those are whole numbers from 0 to 255 (mode L, 8 bits), else floats (mode F, 32 bits)

    Raises ValueError for another number of channels, and where the picture's values have no known range.
    """
    if channels not in MODES:
        raise ValueError(f"a picture has 1 to 4 channels, and not {channels}")
    found = in_mode(upright(image), MODES[channels]).split()
    if whole:
        found = [band if pixel == 1 else band.point(lambda value: round(value * pixel)) for band in found]
    else:
        found = [band.convert("F").point(lambda value: value * pixel) for band in found]
    return [resized(band, size) for band in found]
