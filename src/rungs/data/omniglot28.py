"""OMNIGLOT reduced from the 105x105 originals to 28x28, with a split of our own.

The drawings are inverted (ink is 1) and averaged over areas; 24,345 images chosen by a fixed
seed are for training, as many as the papers have, and the rest for testing; labels are the 50
alphabets. The papers' own reduction and split are :mod:`rungs.data.omniglot`: numbers from the
two are not comparable.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from rungs.data.prepared import Prepared
from rungs.data.sources import download, read_checked
from rungs.errors import DataError
from rungs.storage.atomic import sha256

#: packed originals in a raw-data folder: bool ``[characters, 20, 105, 105]``, True is paper
FILES = {
    "images_background": "8bf84167413cd00beacdce3fe582f780ab538d8dbef043a6d688f2527bbce199",
    "images_evaluation": "0b84c7ffd94c4841c0040e529c86a82eaaccb986d8eadad5673f7991b7475276",
}
#: Alphabets in the order of the packed originals, with their numbers of characters. The names are
#: those of the original folders.
ALPHABETS = {
    "images_background": {
        **{"Arcadian": 26, "Armenian": 41, "Asomtavruli_(Georgian)": 40, "Balinese": 24},
        **{"Bengali": 46, "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14, "Braille": 26},
        **{"Cyrillic": 33, "Early_Aramaic": 22, "Syriac_(Estrangelo)": 23},
        **{"Anglo-Saxon_Futhorc": 29, "Futurama": 26, "Grantha": 43, "Greek": 24},
        **{"Gujarati": 48, "Hebrew": 22, "Japanese_(hiragana)": 52},
        **{"Inuktitut_(Canadian_Aboriginal_Syllabics)": 16},
        **{"Malay_(Jawi_-_Arabic)": 40, "Japanese_(katakana)": 47, "Korean": 40, "Latin": 26},
        **{"Alphabet_of_the_Magi": 20, "Mkhedruli_(Georgian)": 41, "Burmese_(Myanmar)": 34},
        **{"N_Ko": 33, "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14, "Sanskrit": 42},
        **{"Tagalog": 17, "Tifinagh": 55},
    },
    "images_evaluation": {
        **{"Angelic": 20, "Atemayar_Qelisayer": 26, "Atlantean": 26, "Aurek-Besh": 26},
        **{"Avesta": 26, "Ge_ez": 26, "Glagolitic": 45, "Gurmukhi": 45, "Kannada": 41},
        **{"Keble": 26, "Malayalam": 47, "Manipuri": 40, "Mongolian": 30},
        **{"Old_Church_Slavonic_(Cyrillic)": 45, "Oriya": 46, "Syriac_(Serto)": 23},
        **{"Sylheti": 28, "Tengwar": 25, "Tibetan": 42, "ULOG": 26},
    },
}
DRAWERS = 20
SIDE, SMALL = 105, 28
TRAIN = 24345
SPLIT_SEED = 28
MAX_BYTES = 20_000_000
#: of a drawing's file; they have some hundred bytes
MAX_DRAWING = 100_000
#: :func:`drawings_hash` of the packed originals
DRAWINGS = {
    "images_background": "bb1880a640002a1e5822611f67d5f1d7b7945d7295b006d5c927c42f7fb9458a",
    "images_evaluation": "dafc93b93f4126f4e30509e556c5836386dfe010b67aee0f545c09e1d018f34f",
}


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Reduce and split the originals, from ``raw/omniglot`` or by download into ``cache``."""
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for name in FILES:
        drawings = _from_download(cache, name) if raw is None else _from_npz(raw, name)
        images.append(reduce(drawings.reshape(-1, SIDE, SIDE)))
        counts = list(ALPHABETS[name].values())
        first = 0 if not labels else int(labels[-1][-1]) + 1
        labels.append(np.repeat(np.arange(len(counts)) + first, np.array(counts) * DRAWERS))
    everything, alphabets = np.concatenate(images), np.concatenate(labels)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(everything))
    train, test = order[:TRAIN], order[TRAIN:]
    return Prepared(
        everything[train],
        alphabets[train],
        everything[test],
        alphabets[test],
        {
            "source": "OMNIGLOT (Lake et al. 2015), 105x105 originals reduced by area averaging; "
            "not the papers' reduction, not the papers' split",
            "licence": "MIT",
            "sha256": FILES,
        },
    )


def reduce(ink: np.ndarray) -> np.ndarray:
    """Average bool images ``[n, 105, 105]`` over the areas of 28x28 pixels; uint8 intensities.

    A small pixel is 3.75 originals wide: originals on its border count by their overlap.
    """
    width = SIDE / SMALL
    edges = np.arange(SMALL) * width
    starts = np.arange(SIDE)
    overlap = np.minimum(edges[:, None] + width, starts + 1) - np.maximum(edges[:, None], starts)
    weights = (np.clip(overlap, 0, None) / width).astype(np.float32)
    small = np.empty((len(ink), SMALL, SMALL), dtype=np.uint8)
    for start in range(0, len(ink), 1000):
        part = ink[start : start + 1000].astype(np.float32)
        small[start : start + 1000] = np.rint(255 * (weights @ part @ weights.T))
    return small


def _from_npz(raw: Path, name: str) -> np.ndarray:
    """Ink of one set, bool ``[characters, 20, 105, 105]``, from the packed originals."""
    path = raw / "omniglot" / f"{name}.npz"
    content = read_checked(path, FILES[name], MAX_BYTES)
    try:
        paper = np.load(io.BytesIO(content), allow_pickle=False)["images"]
    except Exception as error:  # whatever the library finds in a strange file
        raise DataError(f"{path}: has no array of images ({error}).") from error
    expected = (sum(ALPHABETS[name].values()), DRAWERS, SIDE, SIDE)
    if paper.dtype != np.bool_ or paper.shape != expected:
        raise DataError(f"{path}: expected bool {expected}, found {paper.dtype} {paper.shape}.")
    return ~paper


def _from_download(cache: Path, name: str) -> np.ndarray:
    """The same from the originals' own archive, where torchvision has it; nothing is unpacked on disk.

    Raises:
        DataError: if the download fails, or the drawings are not those of the packed originals.
    """
    path = download(f"{address()}/{name}.zip", cache / "omniglot-py" / f"{name}.zip", MAX_BYTES)
    ink = from_zip(path, name)
    if (found := drawings_hash(ink)) != DRAWINGS[name]:
        raise DataError(
            f"{path}: the SHA-256 of its drawings is {found}, expected {DRAWINGS[name]}: the file is "
            "altered or another one. Delete it and try again."
        )
    return ink


def address() -> str:
    """Where torchvision finds the archives of drawings."""
    from rungs.data.torchvision_import import import_torchvision

    return str(import_torchvision().datasets.Omniglot.download_url_prefix)


def from_zip(path: Path, name: str) -> np.ndarray:
    """Ink of an archive of drawings, ``<name>/<alphabet>/<character>/<drawing>.png``, bool ``[n, 105,
    105]``; alphabets in the order of the packed originals, drawings in that of their names.

    Raises:
        DataError: if it is not one.
    """
    from PIL import Image

    drawings: list[np.ndarray] = []
    expected = sum(ALPHABETS[name].values()) * DRAWERS
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(entry.filename for entry in archive.infolist())
            for alphabet in ALPHABETS[name]:
                start = f"{name}/{alphabet}/"
                for member in members:
                    if not (member.startswith(start) and member.endswith(".png")):
                        continue
                    if archive.getinfo(member).file_size > MAX_DRAWING or len(drawings) == expected:
                        raise ValueError("more or larger drawings than expected")
                    picture = io.BytesIO(archive.read(member))
                    with Image.open(picture, formats=("PNG",)) as image:
                        if image.size != (SIDE, SIDE):
                            raise ValueError(f"{member} has {image.width} x {image.height} pixels")
                        drawings.append(np.asarray(image.convert("L")) < 128)
    except Exception as error:  # whatever the libraries find in a strange file
        raise DataError(f"{path}: is not the archive of OMNIGLOT's drawings ({error}).") from error
    if len(drawings) != expected:
        raise DataError(f"{path}: expected {expected} drawings, found {len(drawings)}.")
    return np.stack(drawings)


def drawings_hash(ink: np.ndarray) -> str:
    """SHA-256 of the sorted SHA-256 of every drawing ``[n, 105, 105]``, whatever their order."""
    return sha256("".join(sorted(sha256(one.tobytes()) for one in ink)).encode())
