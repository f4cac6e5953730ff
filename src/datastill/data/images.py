"""Folders of images, one subfolder per class, optionally within `train` and `test`."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from datastill._errors import InputError
from datastill.data.dataset import Dataset
from datastill.data.raw import listed, unreadable, visible
from datastill.data.reading import Reading

EXPECTED = "an image"
LAYOUT = "one subfolder of images for each class, optionally within train and test"
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
GREY_MODES = ("1", "L", "LA", "La")
LARGEST_SIZE = 4096
DEPTHS = (8, 10, 12, 14, 16, 32)
LEAST_UPPER = 16
"""What the upper 8 of 16 bits reach where more than 12 are used."""

T = TypeVar("T")


def read_folder(folder: Path, image_size: int | None = None, like: Dataset | None = None) -> Dataset:
    """Every image below the folder as uint8 rows (n, h, w), or (n, h, w, 3) if any of them has colours.

    Labels are the subfolders' names. Rows are in the order of the classes, then of the file names. Transparency is
    dropped, rotation marks of cameras are applied, and the first frame of an animation is taken. Test images take the
    training images' mode, grey or colour, and their depth (`bits_of`). Beside `train` and `test`, a subfolder `val` is
    left out.

    Args:
        folder: the folder.
        image_size: resize every image to this many pixels square; None keeps their size, which must be one.
        like: the training images, when the folder holds the test images that belong to them.

    Raises:
        InputError: for another layout, a file that is no image, images of several sizes, or one class only.
    """
    check_size(image_size)
    colours = None if like is None else np.ndim(like.x) == 4
    split, name = _split(folder), folder.resolve().name
    files = _class_files(folder if split is None else split[0])
    bits = bits_of(files) if like is None or like.reading.bits is None else like.reading.bits
    x, y = read_files(files, image_size, colours, bits=bits)
    if split is None or split[1] is None:
        return Dataset(name, x, y, reading=reading(bits))
    held = _class_files(split[1], set(y))
    own = bits_of(held) if bits is None else bits
    return Dataset(name, x, y, *read_files(held, image_size, x.ndim == 4, x.shape[1:3], own), reading=reading(bits))


def check_size(image_size: int | None) -> None:
    """InputError for a size that is none."""
    if image_size is not None and (
        not isinstance(image_size, int) or isinstance(image_size, bool) or not 1 <= image_size <= LARGEST_SIZE
    ):
        raise InputError(f"Got image_size={image_size!r}; expected a whole number from 1 to {LARGEST_SIZE}; try 32.")


def _split(folder: Path) -> tuple[Path, Path | None] | None:
    """The folders `train` and `test`, when that is what the folder holds and `train` is no class itself."""
    folders = {entry.name.lower(): entry for entry in visible(folder) if entry.is_dir()}
    if "train" not in folders or not folders.keys() <= {"train", "test", "val", "valid", "validation"}:
        return None
    if not any(entry.is_dir() for entry in visible(folders["train"])):
        return None
    return folders["train"], folders.get("test")


def _class_files(folder: Path, known: set[str] | None = None) -> list[Path]:
    """The images of every class, by class and then by name; `known` are the training images' classes."""
    entries = visible(folder)
    _refuse_broken(entries)
    classes = [entry for entry in entries if entry.is_dir()]
    loose = [entry.name for entry in entries if not entry.is_dir()]
    if loose or (len(classes) < 2 and known is None):
        found = (
            f"the files {listed(loose, 3)}"
            if loose
            else f"{len(classes)} subfolder(s): {listed([c.name for c in classes])}"
        )
        raise InputError(f"Got {folder}, which holds {found}; expected {LAYOUT}; try moving each file to its class.")
    strange = [c.name for c in classes if known is not None and c.name not in known]
    if strange or not classes:
        raise InputError(
            f"Got {folder} with the classes {listed(strange)}; expected those of the training images, "
            f"{listed(sorted(known or ()))}; try renaming the subfolders."
        )
    return [file for subfolder in classes for file in _files(subfolder)]


def training_folder(folder: Path) -> Path:
    """The subfolder `train`, or the folder itself."""
    split = _split(folder)
    return folder if split is None else split[0]


def image_files(folder: Path) -> list[Path]:
    """Every image of the folder's classes, by class and then by name."""
    return [file for subfolder in visible(folder) if subfolder.is_dir() for file in _files(subfolder)]


def have_colours(files: Sequence[Path]) -> bool:
    """Return whether any of the images has colours; only their headers are read."""
    return any(_open(file, lambda image: image.mode not in GREY_MODES and image.mode[:1] not in "IF") for file in files)


def bits_of(files: Sequence[Path]) -> int | None:
    """Return how many bits the pixels of images of 16 bits take: 8, 10, 12, 14 or 16; None where there are no such.

    Cameras and depth maps often leave the upper bits empty. All images are looked at, as they are to be scaled alike.

    Raises:
        InputError: for 16 bits a channel in colours of which only the lower half is used, which Pillow does not give.
    """
    deep = [(file, *found) for file in files if (found := _open(file, _greatest)) is not None]
    colour = [(file, greatest) for file, greatest, lost in deep if lost]
    if colour and max(greatest for _, greatest in colour) < LEAST_UPPER:
        raise InputError(
            f"Got {colour[0][0]} with 16 bits a channel, of which all such images here use the lower bits alone; "
            "expected colours of 8 bits; try saving them as 8-bit PNGs."
        )
    greatest = max((greatest for _, greatest, lost in deep if not lost), default=None)
    return None if greatest is None else next(bits for bits in DEPTHS if greatest < 2**bits)


def reading(bits: int | None) -> Reading:
    """Return how images of so many bits are read."""
    if bits is None or bits == 16:
        return Reading(bits=bits)
    return Reading(bits=bits, notes=(f"The images have 16 bits a pixel and use {bits} of them: these are kept.",))


def _greatest(image: Image.Image) -> tuple[int, bool] | None:
    """The greatest number of an image of more than 8 bits, and whether it is of the upper 8 alone; None of others."""
    if image.mode.startswith("I"):
        return int(np.asarray(image).max(initial=0)), False
    if any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        return int(np.asarray(image.convert("RGB")).max(initial=0)), True
    return None


def read_files(
    files: Sequence[Path],
    image_size: int | None,
    colours: bool | None,
    size: tuple[int, ...] | None = None,
    bits: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """These images (n, h, w[, 3]) and the names of the folders that they are in (n,); `bits` are as of `bits_of`."""
    images: list[np.ndarray] = []
    for file in files:
        image = _read_image(file, image_size, colours, bits)
        size = size or image.shape[:2]
        if image.shape[:2] != size:
            where = f"{_pixels(size)}" if file is files[0] else f"{_pixels(size)}, such as {files[0]}"
            raise InputError(
                f"Got {file} of {_pixels(image.shape)} pixels where others have {where}; "
                f"expected one size; try --image-size {min(size)} (`image_size={min(size)}`), which resizes all."
            )
        images.append(image)
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2) for image in images]
    return np.stack(images), np.array([file.parent.name for file in files])


def _files(subfolder: Path) -> list[Path]:
    files = visible(subfolder)
    _refuse_broken(files)
    others = [file.name for file in files if file.suffix.lower() not in SUFFIXES or not file.is_file()]
    if others:
        raise InputError(
            f"Got {subfolder}, which holds {listed(others, 3)}; expected nothing but images ({' '.join(SUFFIXES)}); "
            "try moving the rest elsewhere."
        )
    if not files:
        raise InputError(f"Got {subfolder}, which is empty; expected images; try removing the folder.")
    return files


def _refuse_broken(entries: Sequence[Path]) -> None:
    """InputError for a link to what is not there."""
    for entry in entries:
        if entry.is_symlink() and not entry.exists():
            raise InputError(
                f"Got {entry}, a broken link to {entry.readlink()}; expected a file or folder; try removing the link."
            )


def _read_image(file: Path, image_size: int | None, colours: bool | None, bits: int | None) -> np.ndarray:
    """(h, w) uint8 if the image is grey, else (h, w, 3); `colours` forces one of them."""

    def read(opened: Image.Image) -> np.ndarray:
        image = _eight_bits(ImageOps.exif_transpose(opened), file, bits or 16)
        grey = image.mode in GREY_MODES if colours is None else not colours
        if image.mode == "P":
            image = image.convert("RGBA")
        image = image.convert("L" if grey else "RGB")
        if image_size is not None:
            image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
        return np.asarray(image)

    return _open(file, read)


def _open(file: Path, read: Callable[[Image.Image], T]) -> T:
    """Return the result of `read` on the opened image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which is not used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as opened:
                return read(opened)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(
            f"Got {file}, an image of more than {Image.MAX_IMAGE_PIXELS:,} pixels; expected a smaller one, since such "
            "a file may be made to fill the memory; try shrinking it."
        ) from None
    except Exception as error:  # Pillow's decoders raise some ten types for damaged files
        raise unreadable(file, error, EXPECTED) from error


def _eight_bits(image: Image.Image, file: Path, bits: int) -> Image.Image:
    """The same image with at most 8 bits a channel: of those that are used the upper 8 are kept."""
    if image.mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.min(initial=0) >= 0 and pixels.max(initial=0) < 2**16:
            return Image.fromarray(np.minimum(pixels.astype(np.uint16) >> (bits - 8), 255).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"Got {file} with 32 bits a pixel; expected 8 or 16; try saving it as an 8-bit PNG.")
    return image


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
