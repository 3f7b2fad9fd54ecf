"""MNIST, complete (LeCun, Cortes and Burges): 60,000 + 10,000 digits of 28x28.

From a raw-data folder, under the names and in the places that these four files usually have
(:func:`places`), else downloaded from torchvision's mirror. The decompressed files are checked by
SHA-256 either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rungs.data import sources
from rungs.data.idx import read_idx
from rungs.data.prepared import Prepared
from rungs.errors import AbsentDataError

#: SHA-256 of the decompressed files
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
#: SHA-256 of the files as published, packed
ARCHIVES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
#: the largest decompressed file: 60,000 images and a header of 16 bytes
MAX_BYTES = 16 + 60_000 * 784


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Read the four files, from ``raw/mnist`` if given, else by download into ``cache``."""
    folder = download(cache) if raw is None else raw
    content = {
        name: read_idx(_find(folder, name), MAX_BYTES, expected) for name, expected in FILES.items()
    }
    return Prepared(
        content["train-images-idx3-ubyte"],
        content["train-labels-idx1-ubyte"],
        content["t10k-images-idx3-ubyte"],
        content["t10k-labels-idx1-ubyte"],
        {
            "source": "MNIST, Y. LeCun, C. Cortes, C. J. C. Burges",
            "licence": "CC BY-SA 3.0",
            "sha256": FILES,
        },
    )


def download(cache: Path) -> Path:
    """Download from torchvision's mirror; returns the folder of the files, where torchvision has them.

    torchvision's own download tries again without TLS if TLS fails, has no limit of size, and checks
    by MD5.

    Raises:
        DataError: if the download fails.
    """
    folder = cache / "MNIST" / "raw"
    missing = {n: h for n, h in ARCHIVES.items() if not (folder / n.removesuffix(".gz")).is_file()}
    if not missing:
        return folder
    address = mirror()
    for name, expected in missing.items():
        sources.download(f"{address}{name}", folder / name, MAX_BYTES, expected)
    return folder


def mirror() -> str:
    """The first of torchvision's mirrors that is reached over TLS."""
    from rungs.data.torchvision_import import import_torchvision

    mirrors: list[str] = import_torchvision().datasets.MNIST.mirrors
    return next(address for address in mirrors if address.startswith("https://"))


def places(folder: Path, name: str) -> Iterator[Path]:
    """Where people have a file of MNIST: in the folder ``mnist`` or where torchvision puts it, or in
    the named folder itself; packed or not, with a dot or a dash in its name, or in a folder of its name,
    as some archives unpack."""
    for place in ("mnist", "MNIST/raw", "mnist/raw", "MNIST", "raw", "."):
        for stem in (name, name.replace("-idx", ".idx")):
            for ending in (f"{stem}.gz", stem, f"{stem}/{stem}"):
                yield folder / place / ending


def _find(folder: Path, name: str) -> Path:
    for candidate in places(folder, name):
        if candidate.is_file():
            return candidate
    raise AbsentDataError(
        f"data set mnist: {folder / 'mnist' / name}.gz is missing, and not under its other usual names in "
        f"{folder}. Put the four files of MNIST there, or unset raw_data and RUNGS_RAW_DATA to download them."
    )
