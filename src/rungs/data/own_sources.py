"""Where one's own images come from: a folder of files, or an array in an .npz, .npy, HDF5 or IDX file.

Files are hostile until they are read: nothing is unpickled, sizes are looked at before pixels are
decoded, links out of a file are not followed, and whatever a decoder raises is told in one line.
"""

from __future__ import annotations

import math
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rungs.data.array_files import MOST_BYTES, READERS, SINGLE, Reader, reader_of, told
from rungs.data.axes import Axes, choose, readings
from rungs.data.content import Named
from rungs.data.folders import SUFFIXES, Listing, splits
from rungs.data.levels import WHITE, as_levels, in_full, usual_white, white_of
from rungs.errors import ConfigError, DataError, RungsError

LEAST_TRAIN, LEAST_TEST = 20, 10
#: pixels of a file, and a side of an image as it is used
MOST_PIXELS, MOST_SIDE = 64_000_000, 1024
#: Pillow's formats that are read; with JPEG also MPO, several photographs in one file
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: how the names of Pillow's modes of more than 8 bits a channel begin
DEEP = ("I", "F")
FOLDERS = "folders"
#: pixels that are converted at once
BLOCK = 2_000_000


@dataclass(frozen=True)
class Wanted:
    """The format that every image is converted to.

    Attributes:
        name: of the data set, for messages.
        size: height and width, None for the images' own.
        fit: what is done to an image of another size: ``refuse``, ``crop`` or ``stretch``.
        channels: ``grey``, ``colour`` or None for the first image's.
        white: the value of a white pixel of an array or of a file of more than 8 bits a channel, None
            where it is not stated.
        layout: where the colours of an array lie (:mod:`rungs.data.axes`), None where it is not stated.
        mixed: whether it is stated that test images are drawn from all.
    """

    name: str
    size: tuple[int, int] | None
    fit: str
    channels: str | None
    white: float | None
    layout: str | None
    mixed: bool

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Wanted:
        """From an entry of the configuration."""
        size = settings.get("size")
        pair = (size, size) if isinstance(size, int) else size
        return cls(
            name,
            None if pair is None else (pair[0], pair[1]),
            settings.get("fit", "refuse"),
            settings.get("channels"),
            settings.get("white"),
            settings.get("layout"),
            "fraction" in settings.get("test", {}),
        )

    def state_white(self, value: float) -> str:
        """How to state that a value is white."""
        return f"set datasets.{self.name}.white to {in_full(value)}"

    def check_shape(self, shape: tuple[int, ...], where: str) -> None:
        """Refuse images too large, or empty."""
        if min(shape) < 1 or max(shape[:2]) > MOST_SIDE:
            raise DataError(
                f"{where}: its images have {_by(shape)} pixels, sides may have 1 to {MOST_SIDE}; set "
                f"datasets.{self.name}.size, and fit to crop or stretch."
            )

    def shape_of(self, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
        """The shape that an image ``(h, w)`` or ``(h, w, 3)`` is made into."""
        if self.size is not None and shape[:2] != self.size:
            if self.fit == "refuse":
                raise DataError(
                    f"{where}: has {_by(shape)} pixels, not {_by(self.size)}; set datasets.{self.name}.fit "
                    "to crop (scale, cut the middle out) or stretch."
                )
            shape = (*self.size, *shape[2:])
        if self.channels is not None:
            shape = shape[:2] if self.channels == "grey" else (*shape[:2], 3)
        self.check_shape(shape, where)
        return shape

    def apply(self, image: Any) -> np.ndarray:
        """A Pillow image, grey (mode L) or colour (RGB), of the wanted channels and size, uint8."""
        from PIL import Image, ImageOps

        if self.channels is not None:
            image = image.convert("L" if self.channels == "grey" else "RGB")
        if self.size is not None and image.size != self.size[::-1]:
            if self.fit == "crop":
                image = ImageOps.fit(image, self.size[::-1], Image.Resampling.LANCZOS)
            else:
                image = image.resize(self.size[::-1], Image.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8)


class Source(Protocol):
    """Images, and their labels, from one place."""

    path: Path
    #: number of images
    count: int
    #: the white by which the images were read; None where every file says it
    white: float | None

    def shape(self) -> tuple[int, ...]:
        """Of an image as it is used, without reading more than the first."""
        ...

    def named_files(self) -> list[Named]:
        """Name in the source, and path, of every file."""
        ...

    def images(self, like: float | None = None) -> np.ndarray:
        """uint8 ``[n, h, w]`` or ``[n, h, w, 3]``.

        Args:
            like: the white of the other images of the data set, by which darker ones are read.
        """
        ...

    def labels(self) -> np.ndarray | None:
        """``[n]`` numbers or names, None without."""
        ...

    def notes(self) -> list[str]:
        """What is good to know of it: what is left out, with its count."""
        ...


def open_source(
    named: str, array: str | None, labels: str | None, wanted: Wanted, key: str
) -> Source:
    """The source that the configuration names.

    Args:
        named: a path; a relative one is looked for from the working directory.
        key: of the configuration, for messages.

    Raises:
        ConfigError: if there is none, or its options belong to another kind.
        DataError: if it cannot be used.
    """
    path = _path(named, f"{key}.images")
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"configuration key {key}.images: {_shown(path)} cannot be read "
            f"({getattr(error, 'strerror', None) or error}); name a folder of images, or an .npz, .npy, .h5, "
            ".hdf5 or IDX file."
        ) from error
    if stat.S_ISDIR(mode):
        if array is not None:
            raise ConfigError(
                f"configuration key {key}.array: {path} is a folder, which has no arrays; leave array out."
            )
        if labels not in (None, FOLDERS):
            raise ConfigError(
                f"configuration key {key}.labels: found {labels!r}, but {path} is a folder; set labels to "
                f"{FOLDERS}, or leave it out."
            )
        if wanted.layout is not None:
            raise ConfigError(
                f"configuration key datasets.{wanted.name}.layout: is of arrays, and {path} is a folder of "
                "image files; leave it out."
            )
        return FolderSource(path, labels == FOLDERS, wanted)
    reader = reader_of(path)
    if not stat.S_ISREG(mode) or reader is None:
        raise ConfigError(
            f"configuration key {key}.images: {path} is neither a folder nor a file that ends in "
            f"{', '.join(READERS)}."
        )
    if labels == FOLDERS:
        raise ConfigError(
            f"configuration key {key}.labels: {path} has no folders; name the array of the labels."
        )
    return ArraySource(path, reader, array, labels, wanted, key)


def _path(named: str, key: str) -> Path:
    """The path that the configuration names."""
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"configuration key {key}: {named} begins with a home directory that is not known here; write "
            "the whole path."
        ) from error


class FolderSource:
    """Image files in a folder and the folders in it, in the order of their names
    (:mod:`rungs.data.folders`)."""

    def __init__(self, path: Path, labelled: bool, wanted: Wanted) -> None:
        self.path, self.labelled, self.wanted = path, labelled, wanted
        self.white: float | None = None
        self.listing = Listing.of(path)
        self.files = self.listing.files
        self.count = len(self.files)
        if not self.files:
            note = self.listing.note()
            raise DataError(
                f"{path}: has no image files ({', '.join(sorted(SUFFIXES))}){f'; {note}' if note else ''}; "
                f"name another folder in datasets.{wanted.name}.images."
            )
        self._refuse_splits()

    def _refuse_splits(self) -> None:
        """Refuse training and test images in folders beside each other, unless they are to be mixed."""
        found = splits(Path(self._relative(entry)).parts for entry in self.files)
        if not found or (self.wanted.mixed and not self.labelled):
            return
        place, training, testing = found[0]
        key = f"datasets.{self.wanted.name}"
        if len(found) > 1:
            remedy = (
                f"move them into one folder of {training!r} and one of {testing!r}, and name these in "
                f"{key}.images and {key}.test.images"
            )
        else:
            folder = self.path.joinpath(*place)
            remedy = (
                f"set {key}.images to {_shown(folder / training)} and {key}.test.images to "
                f"{_shown(folder / testing)}"
            )
        other = (
            "; rename them if they are classes"
            if self.labelled
            else f", or {key}.test.fraction if they are to be mixed and split anew"
        )
        raise DataError(
            f"{_shown(self.path.joinpath(*place))}: its folders {training!r} and {testing!r} look like "
            f"training and test images; {remedy}{other}."
        )

    def notes(self) -> list[str]:
        """See :class:`Source`."""
        note = self.listing.note()
        return [] if note is None else [f"{self.path}: {note}"]

    def _relative(self, entry: os.DirEntry[str]) -> str:
        return os.path.relpath(entry.path, self.path)

    def shape(self) -> tuple[int, ...]:
        """See :class:`Source`."""
        return self._read(self.files[0].path).shape

    def named_files(self) -> list[Named]:
        """See :class:`Source`."""
        return [(self._relative(entry), Path(entry.path)) for entry in self.files]

    def _read(self, path: str) -> np.ndarray:
        return read_picture(path, self.wanted)

    def images(self, like: float | None = None) -> np.ndarray:
        """See :class:`Source`."""
        shape = self.shape()
        _check_bytes(self.count * math.prod(shape), str(self.path), self.wanted)
        found = np.empty((self.count, *shape), dtype=np.uint8)
        for row, entry in zip(found, self.files, strict=True):
            image = self._read(entry.path)
            if image.shape != shape:
                raise DataError(f"{_shown(entry.path)}: {self._difference(image.shape, shape)}")
            row[...] = image
        return found

    def _difference(self, found: tuple[int, ...], first: tuple[int, ...]) -> str:
        """How an image differs from the first, and the remedy."""
        key = f"datasets.{self.wanted.name}"
        if found[:2] == first[:2]:
            kinds = {2: "grey", 3: "in colour"}
            return (
                f"is {kinds[len(found)]}, the first image {kinds[len(first)]}; set {key}.channels to grey "
                "or to colour."
            )
        return (
            f"has {_by(found)} pixels, the first image {_by(first)}; set {key}.size with fit crop or "
            "stretch, and channels."
        )

    def labels(self) -> np.ndarray | None:
        """The name of the first folder below the source's."""
        if not self.labelled:
            return None
        parts = [Path(self._relative(entry)).parts for entry in self.files]
        for part in parts:
            if len(part) < 2:
                raise DataError(
                    f"{_shown(self.path / part[0])}: lies in no sub-folder, so it has no label; move it into "
                    f"that of its class, or leave datasets.{self.wanted.name}.labels out."
                )
        return np.array([_shown(part[0]) for part in parts])


def read_picture(path: str, wanted: Wanted) -> np.ndarray:
    """One image file as uint8 ``[h, w]`` or ``[h, w, 3]``, turned as its camera says.

    Raises:
        DataError: if it is unreadable, too large, animated, transparent, or of more than 8 bits.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(
                        f"{_shown(path)}: has {image.width} x {image.height} pixels, over {MOST_PIXELS}; "
                        "make it smaller, or remove it."
                    )
                _check_kind(image, path, wanted)
                turned = ImageOps.exif_transpose(image)
                if turned.mode.startswith(DEEP):
                    turned = _in_8_bits(turned, path, wanted)
                plain = turned.convert("L" if _is_grey(turned) else "RGB")
    except RungsError:
        raise
    except Exception as error:  # whatever a decoder finds in a broken file
        raise DataError(
            f"{_shown(path)}: cannot be read as an image ({error}); replace or remove it."
        ) from error
    shape = (plain.height, plain.width) if plain.mode == "L" else (plain.height, plain.width, 3)
    wanted.shape_of(shape, _shown(path))
    return wanted.apply(plain)


def _is_grey(image: Any) -> bool:
    """Whether an image has grey levels only: a palette is one of greys if all its colours are."""
    if image.mode in ("P", "PA"):
        colours = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
        used = np.unique(np.asarray(image.getchannel("P")))
        rgb = colours[used[used < len(colours)]]
        return bool((rgb == rgb[:, :1]).all())
    return image.mode in ("1", "L", "LA")


def _in_8_bits(image: Any, path: str, wanted: Wanted) -> Any:
    """An image of more than 8 bits a channel as one of 8."""
    from PIL import Image

    values = np.asarray(image)[None]
    white = white_of(values, wanted.white or math.inf, _shown(path), wanted.state_white)
    if wanted.white is None:
        most, floats = float(values.max()), values.dtype.kind == "f"
        fits = usual_white(max(most, 1 if floats else 1023))
        dark = ", or 65535 if it is that dark" if fits < 65535 and not floats else ""
        raise DataError(
            f"{_shown(path)}: has more than 8 bits a channel (mode {image.mode}), which do not tell the "
            f"value of white; {wanted.state_white(fits)}{dark}."
        )
    return Image.fromarray(as_levels(values[0], white))


def _check_kind(image: Any, path: str, wanted: Wanted) -> None:
    # a phone's photograph carries smaller ones of itself, or the other eye's: the first is the picture
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{_shown(path)}: has {image.n_frames} frames; save each as a file.")
    if image.mode.startswith(DEEP):
        return
    if wanted.white is not None:
        raise DataError(
            f"{_shown(path)}: has 8 bits a channel, of which {WHITE} is white; leave "
            f"datasets.{wanted.name}.white out."
        )
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        raise DataError(
            f"{_shown(path)}: is transparent in places; lay it on a background before it is used."
        )


class ArraySource:
    """An array of a file: ``[n, h, w]``, ``[n, h, w, channels]``, ``[n, channels, h, w]`` or, with a
    size, ``[n, pixels]``. Where its colours lie is stated if its shape does not tell."""

    def __init__(
        self,
        path: Path,
        reader: Reader,
        array: str | None,
        labels: str | None,
        wanted: Wanted,
        key: str,
    ) -> None:
        self.path, self.wanted, self.reader = path, wanted, reader
        self.white: float | None = None
        with told(self.path):
            headers = self.reader(path, None)
        self.key = self._chosen(array, headers)
        self.where = f"{path}: array {self.key!r}"
        self.full_shape, dtype = headers[self.key]
        if dtype.kind not in "buif":
            raise DataError(
                f"{self.where} has the type {dtype}; save numbers (uint8, or floats from 0 to 1)."
            )
        self.count = self.full_shape[0] if self.full_shape else 0
        _check_bytes(math.prod(self.full_shape) * dtype.itemsize, self.where, wanted)
        self.labelled: ArrayLabels | None = None
        if labels is not None:
            self.labelled = self._labels(labels, headers, key)

    def _labels(self, named: str, headers: Mapping[str, Any], key: str) -> ArrayLabels:
        """Labels in an array of the same file or, where a file has one array, in a file of their own."""
        if self.reader not in SINGLE:
            return ArrayLabels(self.path, self.reader, named, headers, self.count, self.wanted)
        path = _path(named, f"{key}.labels")
        reader = reader_of(path)
        if reader is None or reader not in SINGLE or not path.is_file():
            raise ConfigError(
                f"configuration key {key}.labels: {self.path} has one array, so labels are in a file of "
                f"their own, and {_shown(path)} is none; name an .npy or IDX file."
            )
        with told(path):
            other = reader(path, None)
        return ArrayLabels(path, reader, next(iter(other)), other, self.count, self.wanted)

    def _chosen(self, array: str | None, headers: Mapping[str, Any]) -> str:
        if array is None and len(headers) > 1 and "images" in headers:
            return "images"
        if array is None and len(headers) == 1:
            return next(iter(headers))
        if array is None or array not in headers:
            asked = (
                "which array is meant is not said" if array is None else f"has no array {array!r}"
            )
            raise DataError(
                f"{self.path}: {asked}; set datasets.{self.wanted.name}.array (or test.array) to one of: "
                f"{', '.join(sorted(map(_shown, headers))) or 'none there'}."
            )
        return array

    def named_files(self) -> list[Named]:
        """See :class:`Source`."""
        paths = [self.path] if self.labelled is None else [self.path, self.labelled.path]
        return [(path.name, path) for path in dict.fromkeys(paths)]

    def _axes(self) -> Axes:
        """How an image is stored."""
        shape, key = self.full_shape, f"datasets.{self.wanted.name}"
        found = readings(shape, self.wanted.size)
        if not found:
            raise DataError(
                f"{self.where} has the shape {shape}; expected [n, h, w], [n, h, w, 3], [n, 3, h, w], or "
                f"[n, pixels] with {key}.size."
            )
        return choose(found, self.wanted.layout, self.where, key, self._read)

    def _read(self) -> np.ndarray:
        """The array, as it is stored."""
        with told(self.path):
            array: np.ndarray = self.reader(self.path, self.key)[self.key]
        return array

    def shape(self) -> tuple[int, ...]:
        """See :class:`Source`."""
        return self.wanted.shape_of(self._axes().shape, self.where)

    def images(self, like: float | None = None) -> np.ndarray:
        """See :class:`Source`."""
        from PIL import Image

        axes, shape = self._axes(), self.shape()
        array = self._read()
        stated, whole = self.wanted.white, array.dtype.kind in "iu"
        if stated is None and like is not None and whole and 1 < array.max(initial=0) <= like:
            stated = like
        white = white_of(array, stated, self.where, self.wanted.state_white)
        self.white = white if whole else None  # of floats it is 1 whatever the values
        _check_bytes(self.count * math.prod(shape), self.where, self.wanted)
        found = np.empty((self.count, *shape), dtype=np.uint8)
        # blocks of some megabytes: a level is eight bytes while it is rounded
        step = max(1, BLOCK // max(1, math.prod(axes.shape)))
        for start in range(0, self.count, step):
            levels = axes.arranged(as_levels(array[start : start + step], white))
            if shape != axes.shape:
                levels = np.stack([self.wanted.apply(Image.fromarray(image)) for image in levels])
            found[start : start + step] = levels
        return found

    def labels(self) -> np.ndarray | None:
        """See :class:`Source`."""
        return None if self.labelled is None else self.labelled.read()

    def notes(self) -> list[str]:
        """See :class:`Source`."""
        return []


class ArrayLabels:
    """The labels of an array's images, in another array.

    Args:
        headers: shapes and types of the arrays of the file.
        count: number of images.
    """

    def __init__(
        self,
        path: Path,
        reader: Reader,
        key: str,
        headers: Mapping[str, Any],
        count: int,
        wanted: Wanted,
    ) -> None:
        self.path, self.reader, self.key = path, reader, key
        if key not in headers:
            raise DataError(
                f"{path}: has no array {key!r} for datasets.{wanted.name}.labels; it has: "
                f"{', '.join(sorted(map(_shown, headers)))}."
            )
        shape, dtype = headers[key]
        _check_bytes(math.prod(shape) * dtype.itemsize, f"{path}: array {key!r}", wanted)
        if shape not in ((count,), (count, 1)) or dtype.kind not in "buiUS":
            raise DataError(
                f"{path}: labels {key!r} are {dtype} of shape {shape}; expected one integer or name for "
                f"each of {count} images."
            )

    def read(self) -> np.ndarray:
        """Numbers, or names as text, ``[n]``."""
        with told(self.path):
            found = np.asarray(self.reader(self.path, self.key)[self.key]).reshape(-1)
        if found.dtype.kind not in "SO":
            return found
        names = []
        for number, label in enumerate(found):  # as NumPy's type S and HDF5 store them
            try:
                names.append(label.decode() if isinstance(label, bytes) else str(label))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self.path}: labels {self.key!r}: that of image {number}, {label!r:.100}, is not in "
                    "UTF-8; decode them (numpy.char.decode(labels, 'latin-1')) and save them as text."
                ) from error
        return np.array(names)


def _check_bytes(count: int, where: str, wanted: Wanted) -> None:
    if count > MOST_BYTES:
        raise DataError(
            f"{where} takes {count / 1e9:.1f} GB, more than {MOST_BYTES / 1e9:.0f} GB; use fewer images, or "
            f"set datasets.{wanted.name}.size smaller (of an array: save it as uint8)."
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _shown(path: Path | str) -> str:
    """A path on one line, whatever its name is made of."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
