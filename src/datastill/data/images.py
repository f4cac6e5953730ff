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

EXPECTED = "an image"
LAYOUT = "one subfolder of images for each class, optionally within train and test"
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
GREY_MODES = ("1", "L", "LA", "La")
LARGEST_SIZE = 4096
T = TypeVar("T")


def read_folder(folder: Path, image_size: int | None = None, like: Dataset | None = None) -> Dataset:
    """Every image below the folder as uint8 rows (n, h, w), or (n, h, w, 3) if any of them has colours.

    Labels are the subfolders' names. Rows are in the order of the classes, then of the file names. Transparency is
    dropped, rotation marks of cameras are applied, and the first frame of an animation is taken. Test images take the
    training images' mode, grey or colour. Beside `train` and `test`, a subfolder `val` is left out.

    Args:
        folder: the folder.
        image_size: resize every image to this many pixels square; None keeps their size, which must be one.
        like: the training images, when the folder holds the test images that belong to them.

    Raises:
        InputError: for another layout, a file that is no image, images of several sizes, or one class only.
    """
    check_size(image_size)
    colours = None if like is None else np.ndim(like.x) == 4
    split = _split(folder)
    if split is None:
        return Dataset(folder.resolve().name, *_read_classes(folder, image_size, colours))
    x, y = _read_classes(split[0], image_size, colours)
    if split[1] is None:
        return Dataset(folder.resolve().name, x, y)
    return Dataset(folder.resolve().name, x, y, *_read_classes(split[1], image_size, x.ndim == 4, x.shape[1:3], set(y)))


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


def _read_classes(
    folder: Path,
    image_size: int | None,
    colours: bool | None,
    size: tuple[int, ...] | None = None,
    known: set[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, h, w[, 3]) and the names of their classes (n,); `size` and `known` are the training images'."""
    entries = visible(folder)
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
    return read_files([file for subfolder in classes for file in _files(subfolder)], image_size, colours, size)


def training_folder(folder: Path) -> Path:
    """The subfolder `train`, or the folder itself."""
    split = _split(folder)
    return folder if split is None else split[0]


def image_files(folder: Path) -> list[Path]:
    """Every image of the folder's classes, by class and then by name."""
    return [file for subfolder in visible(folder) if subfolder.is_dir() for file in _files(subfolder)]


def have_colours(files: Sequence[Path]) -> bool:
    """Whether any of the images has colours; only their headers are read."""
    return any(_open(file, lambda image: image.mode not in GREY_MODES and image.mode[:1] not in "IF") for file in files)


def read_files(
    files: Sequence[Path], image_size: int | None, colours: bool | None, size: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """These images (n, h, w[, 3]) and the names of the folders that they are in (n,)."""
    images: list[np.ndarray] = []
    for file in files:
        image = _read_image(file, image_size, colours)
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
    others = [file.name for file in files if file.suffix.lower() not in SUFFIXES or not file.is_file()]
    if others:
        raise InputError(
            f"Got {subfolder}, which holds {listed(others, 3)}; expected nothing but images ({' '.join(SUFFIXES)}); "
            "try moving the rest elsewhere."
        )
    if not files:
        raise InputError(f"Got {subfolder}, which is empty; expected images; try removing the folder.")
    return files


def _read_image(file: Path, image_size: int | None, colours: bool | None) -> np.ndarray:
    """(h, w) uint8 if the image is grey, else (h, w, 3); `colours` forces one of them."""

    def read(opened: Image.Image) -> np.ndarray:
        image = _eight_bits(ImageOps.exif_transpose(opened), file)
        grey = image.mode in GREY_MODES if colours is None else not colours
        if image.mode == "P":
            image = image.convert("RGBA")
        image = image.convert("L" if grey else "RGB")
        if image_size is not None:
            image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
        return np.asarray(image)

    return _open(file, read)


def _open(file: Path, read: Callable[[Image.Image], T]) -> T:
    """What `read` makes of the opened image."""
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


def _eight_bits(image: Image.Image, file: Path) -> Image.Image:
    """The same image with at most 8 bits a channel; of 16 the upper 8 are kept."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"Got {file} with 32 bits a pixel; expected 8 or 16; try saving it as an 8-bit PNG.")
    return image


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
