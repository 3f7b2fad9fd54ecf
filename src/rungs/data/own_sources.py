"""Where one's own images come from: a folder of files, or an array in an .npz, .npy or HDF5 file.

Files are hostile until they are read: nothing is unpickled, sizes are looked at before pixels are
decoded, links out of a file are not followed, and whatever a decoder raises is told in one line.
"""

from __future__ import annotations

import math
import os
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rungs.data.axes import Axes, choose, readings
from rungs.data.content import Named
from rungs.data.levels import WHITE, as_levels, usual_white, white_of
from rungs.errors import ConfigError, DataError, RungsError

LEAST_TRAIN, LEAST_TEST = 20, 10
#: pixels of a file, a side of an image as it is used, bytes of all images: splitting them takes
#: twice as much, and no data set may take more than 4 GB of memory
MOST_PIXELS, MOST_SIDE, MOST_BYTES = 64_000_000, 1024, 1_000_000_000
#: Pillow's formats that are read, and the suffixes of files that count as images
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
        *(".pgm", ".pbm", ".ppm"),
    }
)
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
    """

    name: str
    size: tuple[int, int] | None
    fit: str
    channels: str | None
    white: float | None
    layout: str | None

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
        )

    def state_white(self, value: float) -> str:
        """How to state that a value is white."""
        return f"set datasets.{self.name}.white to {value:g}"

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

    def shape(self) -> tuple[int, ...]:
        """Of an image as it is used, without reading more than the first."""
        ...

    def named_files(self) -> list[Named]:
        """Name in the source, and path, of every file."""
        ...

    def images(self) -> np.ndarray:
        """uint8 ``[n, h, w]`` or ``[n, h, w, 3]``."""
        ...

    def labels(self) -> np.ndarray | None:
        """``[n]`` numbers or names, None without."""
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
    path = Path(named).expanduser()
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"configuration key {key}.images: {_shown(path)} cannot be read "
            f"({getattr(error, 'strerror', None) or error}); name a folder of images, or an .npz, .npy, .h5 "
            "or .hdf5 file."
        ) from error
    if stat.S_ISDIR(mode):
        if array is not None or labels not in (None, FOLDERS):
            raise ConfigError(
                f"configuration key {key}: {path} is a folder, which has no arrays; leave array out, and "
                f"set labels to {FOLDERS} or leave it out."
            )
        if wanted.layout is not None:
            raise ConfigError(
                f"configuration key datasets.{wanted.name}.layout: is of arrays, and {path} is a folder of "
                "image files; leave it out."
            )
        return FolderSource(path, labels == FOLDERS, wanted)
    if not stat.S_ISREG(mode) or path.suffix.lower() not in READERS:
        raise ConfigError(
            f"configuration key {key}.images: {path} is neither a folder nor a file that ends in "
            f"{', '.join(READERS)}."
        )
    if labels == FOLDERS:
        raise ConfigError(
            f"configuration key {key}.labels: {path} has no folders; name the array of the labels."
        )
    return ArraySource(path, array, labels, wanted)


class FolderSource:
    """Image files in a folder and the folders in it, in the order of their names.

    Hidden files and files with other suffixes are left out; linked folders are not entered.
    """

    def __init__(self, path: Path, labelled: bool, wanted: Wanted) -> None:
        self.path, self.labelled, self.wanted = path, labelled, wanted
        self.files = sorted(self._list(path), key=lambda e: os.fsencode(e.path))
        self.count = len(self.files)
        if not self.files:
            raise DataError(
                f"{path}: has no image files ({', '.join(sorted(SUFFIXES))}); name another folder in "
                f"datasets.{wanted.name}.images."
            )

    def _list(self, folder: Path | str) -> Iterator[os.DirEntry[str]]:
        waiting = [os.fspath(folder)]  # no recursion: folders may nest deeper than Python's stack
        while waiting:
            here = waiting.pop()
            try:
                with os.scandir(here) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
                            yield entry
            except OSError as error:
                raise DataError(
                    f"{error.filename or here}: cannot be read ({error.strerror}); mend its permissions, or "
                    "remove it."
                ) from error

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

    def images(self) -> np.ndarray:
        """See :class:`Source`."""
        shape = self.shape()
        _check_bytes(self.count * math.prod(shape), str(self.path), self.wanted)
        found = np.empty((self.count, *shape), dtype=np.uint8)
        for row, entry in zip(found, self.files, strict=True):
            image = self._read(entry.path)
            if image.shape != shape:
                raise DataError(
                    f"{_shown(entry.path)}: has {_by(image.shape)} pixels, the first image {_by(shape)}; set "
                    f"datasets.{self.wanted.name}.size with fit crop or stretch, and channels."
                )
            row[...] = image
        return found

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
                grey = turned.mode in ("1", "L", "LA")
                plain = turned.convert("L" if grey else "RGB")
    except RungsError:
        raise
    except Exception as error:  # whatever a decoder finds in a broken file
        raise DataError(
            f"{_shown(path)}: cannot be read as an image ({error}); replace or remove it."
        ) from error
    shape = (plain.height, plain.width) if plain.mode == "L" else (plain.height, plain.width, 3)
    wanted.shape_of(shape, _shown(path))
    return wanted.apply(plain)


def _in_8_bits(image: Any, path: str, wanted: Wanted) -> Any:
    """An image of more than 8 bits a channel as one of 8."""
    from PIL import Image

    values = np.asarray(image)[None]
    if wanted.white is None:
        most = usual_white(float(values.max()))
        raise DataError(
            f"{_shown(path)}: has more than 8 bits a channel (mode {image.mode}), which do not tell the "
            f"value of white; {wanted.state_white(max(most, 1023))}, which would fit it, or 65535 if it "
            "is that dark."
        )
    white = white_of(values, wanted.white, _shown(path), wanted.state_white)
    return Image.fromarray(as_levels(values[0], white))


def _check_kind(image: Any, path: str, wanted: Wanted) -> None:
    if getattr(image, "n_frames", 1) > 1:
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

    def __init__(self, path: Path, array: str | None, labels: str | None, wanted: Wanted) -> None:
        self.path, self.wanted, self.label_key = path, wanted, labels
        self.reader = READERS[path.suffix.lower()]
        with self._reading():
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
        if labels is not None:
            self._check_labels(labels, headers)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except RungsError:
            raise
        except Exception as error:  # whatever a library finds in a broken file
            raise DataError(
                f"{self.path}: cannot be read ({error}); it is damaged, or holds Python objects, which are "
                "never loaded. Save plain arrays."
            ) from error

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

    def _check_labels(self, key: str, headers: Mapping[str, Any]) -> None:
        if key not in headers:
            raise DataError(
                f"{self.path}: has no array {key!r} for datasets.{self.wanted.name}.labels; it has: "
                f"{', '.join(sorted(map(_shown, headers)))}."
            )
        shape, dtype = headers[key]
        _check_bytes(math.prod(shape) * dtype.itemsize, f"{self.path}: array {key!r}", self.wanted)
        if shape not in ((self.count,), (self.count, 1)) or dtype.kind not in "buiUS":
            raise DataError(
                f"{self.path}: labels {key!r} are {dtype} of shape {shape}; expected one integer or name "
                f"for each of {self.count} images."
            )

    def named_files(self) -> list[Named]:
        """See :class:`Source`."""
        return [(self.path.name, self.path)]

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
        with self._reading():
            array: np.ndarray = self.reader(self.path, self.key)[self.key]
        return array

    def shape(self) -> tuple[int, ...]:
        """See :class:`Source`."""
        return self.wanted.shape_of(self._axes().shape, self.where)

    def images(self) -> np.ndarray:
        """See :class:`Source`."""
        from PIL import Image

        axes, shape = self._axes(), self.shape()
        array = self._read()
        white = white_of(array, self.wanted.white, self.where, self.wanted.state_white)
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
        if self.label_key is None:
            return None
        with self._reading():
            return np.asarray(self.reader(self.path, self.label_key)[self.label_key]).reshape(-1)


def _read_npy(path: Path, key: str | None) -> dict[str, Any]:
    """The one array of a file, called ``array``; its shape and type where no key is given."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return {"array": (array.shape, array.dtype) if key is None else array}


def _read_npz(path: Path, key: str | None) -> dict[str, Any]:
    """An array of an archive; the shapes and types of all, from their headers, where none is named."""
    if key is not None:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key]}
    headers: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.endswith(".npy"):
                continue
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(file)
                headers[member.removesuffix(".npy")] = (shape, dtype)
    return headers


def _read_hdf5(path: Path, key: str | None) -> dict[str, Any]:
    """The same of an HDF5 file; what it links to or keeps in other files is left alone."""
    import h5py

    from rungs.storage.hdf5 import crashes

    if key is None and (reason := crashes(path)):
        raise DataError(f"{path}: cannot be read ({reason}); it is damaged. Write it again.")
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        plain = (
            isinstance(item, h5py.Dataset)
            and item.shape is not None  # a null dataspace
            and not item.external
            and not item.is_virtual
        )
        # a chunk is unpacked whole, however little of it the array covers
        if plain and math.prod(item.chunks or (0,)) * item.dtype.itemsize > MOST_BYTES:
            raise DataError(f"{path}: array {name!r} has chunks of more than {MOST_BYTES} bytes.")
        if plain and key is None:
            found[name] = (item.shape, item.dtype)
        elif plain and name == key:
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


#: suffix of a file -> what reads an array, or the headers of all
READERS: dict[str, Callable[[Path, str | None], dict[str, Any]]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
}


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
