"""Raw data of every kind of damage: refused in one line that names the file, or read as it is."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fuzzing import cases, flip, told
from rungs.data import cifar10, mnist, omniglot, omniglot28
from rungs.data.array_files import MOST_BYTES, READERS
from rungs.data.idx import read_idx
from rungs.data.own import find
from rungs.data.own import prepare as read_own
from rungs.data.own_sources import Wanted, read_picture
from rungs.data.prepared import Prepared
from rungs.storage import hdf5

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 8, 6), dtype=np.uint8)
damage: st.SearchStrategy[Any] = st.one_of(
    st.just(([], 1.0)),
    st.tuples(
        st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5),
        st.one_of(st.just(1.0), st.floats(0, 1)),
    ),
)
#: sizes that multiply to too much, to nothing, or past 64 bits
sizes = st.sampled_from([0, 1, 2, 3, 60, 8, 6, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1])


def idx(dimensions: list[int], magic: bytes, body: bytes) -> bytes:
    head = magic + bytes([len(dimensions)])
    return head + b"".join(struct.pack(">I", n) for n in dimensions) + body


@cases(2)
@given(
    dimensions=st.lists(sizes, max_size=6),
    magic=st.sampled_from([b"\0\0\x08", b"\0\0\x0d", b"\x1f\x8b\x08", b"PK\3"]),
    body=st.binary(max_size=60),
    packed=st.booleans(),
    changes=damage,
)
def test_idx(
    dimensions: list[int],
    magic: bytes,
    body: bytes,
    packed: bool,
    changes: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """MNIST's format, without the checksum by which real files are known."""
    content = idx(dimensions, magic, body)
    path = tmp_path_factory.mktemp("d") / ("x.gz" if packed else "x")
    path.write_bytes(flip(gzip.compress(content, mtime=0) if packed else content, *changes))
    found = told("IDX", [path.name], lambda: read_idx(path, mnist.MAX_BYTES))
    if found is not None:
        assert found.size == len(body) or changes != ([], 1.0)
    mine = path.with_name("x-ubyte.gz" if packed else "x-ubyte")
    path.rename(mine)
    told("own IDX", [mine.name, "datasets.mine"], lambda: own(mine))
    mine.rename(path)
    told("IDX with a checksum", [path.name], lambda: read_idx(path, mnist.MAX_BYTES, "0" * 64))


def cifar(records: int, name: Callable[[int], str], kind: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as packed:
        for i, file in enumerate((*cifar10.TRAIN, *cifar10.TEST)):
            entry = tarfile.TarInfo(f"{cifar10.FOLDER}/{file}" if i else name(i))
            entry.type = kind if i == 0 else tarfile.REGTYPE
            entry.linkname = "/etc/passwd"
            body = bytes(records * cifar10.RECORD) if entry.isreg() else b""
            entry.size = len(body)
            packed.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


@cases()
@given(
    records=st.sampled_from([0, 6, 7, 8]),
    name=st.sampled_from(
        ["", "../x", "/x", "\n", f"{cifar10.FOLDER}/{cifar10.TRAIN[0]}", "é" * 90, "x" * 300]
    ),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
    changes=damage,
)
def test_archives_of_cifar10(records: int, name: str, kind: bytes, changes: Any) -> None:
    """Without the checksum by which the real one is known; nothing is unpacked on disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "RECORDS", 7)
        content = flip(cifar(records, lambda i: name, kind), *changes)
        names = ["cifar.tar.gz", "cifar10"]
        told("CIFAR-10", names, lambda: cifar10.from_archive(content, Path("cifar.tar.gz")))


MATRICES: list[dict[str, Any]] = [
    {},
    {"data": np.full((784, 2), np.nan)},
    {"data": np.full((784, 2), np.inf)},
    {"data": np.zeros((0, 0))},
    {"data": np.zeros((783, 2))},
    {"data": np.zeros((784, 2, 2))},
    {"data": np.array([{"a": 1}], dtype=object)},
    {"data": "text"},
    {"data": np.zeros((784, 2)) + 1j},
    {"target": np.zeros((50, 3))},
    {"target": np.zeros((0, 2))},
    {"target": np.full((50, 2), np.nan)},
]


def chardata(**changed: Any) -> bytes:
    file = io.BytesIO()
    target = np.eye(50)[:, :2]
    plain = {"data": np.zeros((784, 2)), "testdata": np.ones((784, 2))}
    scipy.io.savemat(file, plain | {"target": target, "testtarget": target} | changed)
    return file.getvalue()


@cases(2)
@given(matrices=st.sampled_from(MATRICES), changes=damage)
def test_chardata(matrices: dict[str, Any], changes: Any) -> None:
    """OMNIGLOT's file of the papers, without the checksum by which the real one is known."""

    def read() -> Prepared:
        found = omniglot.from_mat(content, Path("chardata.mat"))
        assert len(found.train_images) == len(found.train_labels)
        assert len(found.test_images) == len(found.test_labels)
        return found

    content = flip(chardata(**matrices), *changes)
    told("OMNIGLOT, the papers' file", ["chardata.mat"], read)


def png(width: int, height: int, body: bytes | None = None) -> bytes:
    """A picture whose header says what it likes."""

    def part(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" * ((width + 1) * height)) if body is None else body
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", packed) + part(b"IEND", b"")


def drawings(count: int, name: str, picture: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"{name}{number:02d}.png", picture)
    return stream.getvalue()


@cases()
@given(
    count=st.sampled_from([0, 1, 4, 5]),
    name=st.sampled_from(["small/A/c/", "small/A/../../", "/small/A/", "small/A\n/"]),
    picture=st.sampled_from(
        [png(105, 105), png(104, 105), png(2**31 - 1, 2**31 - 1, b""), b"x" * 200_000, b""]
    ),
    changes=damage,
)
def test_archives_of_drawings(
    count: int,
    name: str,
    picture: bytes,
    changes: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("d") / "drawings.zip"
    path.write_bytes(flip(drawings(count, name, picture), *changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omniglot28, "ALPHABETS", {"small": {"A": 1}})
        patch.setattr(omniglot28, "DRAWERS", 4)
        found = told("OMNIGLOT's drawings", [path.name], lambda: omniglot28.from_zip(path, "small"))
    assert found is None or found.shape == (4, 105, 105)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def own(path: Path, **entry: Any) -> Prepared:
    """What a start of the workflow and then the preparation do."""
    settings = {"images": str(path), **entry}
    known = find("mine", settings)
    made = read_own("mine", settings)
    made.check("mine", tuple(known["shape"]), known["train"], known["test"])
    return made


def npy_header(shape: tuple[int, ...], kind: str) -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def write_arrays(path: Path, arrays: dict[str, bytes]) -> None:
    """An .npz of members that may lie about themselves."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


@cases(3)
@given(
    shape=st.one_of(st.just((60, 8, 6)), st.lists(sizes, max_size=5).map(tuple)),
    kind=st.sampled_from(
        [
            *("|u1", "<f8", "<f4", ">i8", "<f2", "|b1", "|O", "<U5", "|S100000000", "<c16", "|V8"),
            *("<M8[s]", "nonsense", "<f16"),
        ]
    ),
    body=st.one_of(st.just(PIXELS.tobytes()), st.binary(max_size=64), st.just(bytes(60 * 48 * 8))),
    labels=st.sampled_from([None, "|u1", "<U1000000000", "<f8", "|O"]),
    suffix=st.sampled_from(["npz", "npy"]),
    options=st.sampled_from([{}, {"size": [8, 6]}, {"size": 28, "fit": "crop"}, {"white": 1}]),
    changes=damage,
)
def test_own_arrays(
    shape: tuple[int, ...],
    kind: str,
    body: bytes,
    labels: str | None,
    suffix: str,
    options: dict[str, Any],
    changes: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("d") / f"mine.{suffix}"
    content, entry = npy_header(shape, kind) + body, dict(options)
    if suffix == "npy":
        path.write_bytes(content)
    else:
        arrays = {"images": content}
        if labels is not None:
            arrays["y"] = npy_header((shape[0] if shape else 1,), labels) + bytes(400)
            entry["labels"] = "y"
        write_arrays(path, arrays)
    path.write_bytes(flip(path.read_bytes(), *changes))
    found = told("own arrays", [path.name, "datasets.mine"], lambda: own(path, **entry))
    assert found is None or found.train_images.dtype == np.uint8


def large_chunk(file: h5py.File) -> None:
    chunks = {"maxshape": (None, None, None), "chunks": (60, 8_000, 8_000)}
    file.create_dataset("images", (60, 8, 6), "u1", compression="gzip", **chunks)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((60, 8, 6), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (60, 8, 6))
    file.create_virtual_dataset("images", layout)


def link(target: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file["images"] = target

    return make


def array(**keywords: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file.create_dataset("images", **keywords)

    return make


HDF5: dict[str, Callable[[h5py.File], None]] = {
    "sound": array(data=PIXELS),
    "absurd": array(shape=(2**40, 28, 28), dtype="u1", chunks=(1, 28, 28)),
    "absurd product": array(shape=(2**31, 2**31, 2**31), dtype="f8", chunks=(1, 8, 8)),
    "large chunk": large_chunk,
    "outside": array(shape=(60, 8, 6), dtype="u1", external=[("/etc/passwd", 0, 2880)]),
    "virtual": virtual,
    "external link": link(h5py.ExternalLink("/etc/passwd", "/images")),
    "soft link": link(h5py.SoftLink("/nowhere")),
    "link to itself": link(h5py.SoftLink("/images")),
    "group cycle": lambda file: file.__setitem__("images", file["/"]),
    "text": array(data=["a"] * 60),
    "objects": array(shape=(60, 8, 6), dtype=h5py.vlen_dtype("u1")),
    "compound": array(shape=(60, 8, 6), dtype=np.dtype([("a", "u1"), ("b", "f8")])),
    "not numbers": array(data=np.full((60, 8, 6), np.nan)),
    "beyond": array(data=np.full((60, 8, 6), 1e300)),
    "empty": array(data=h5py.Empty("f")),
    "none": array(shape=(0, 8, 6), dtype="u1"),
    "scalar": array(data=3),
    "nothing": lambda file: None,
}


@pytest.mark.parametrize("name", HDF5)
def test_own_hdf5(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        HDF5[name](file)
    found = told("own HDF5", [path.name], lambda: own(path, array="images"))
    assert (found is not None) == (name == "sound")


@cases(1)
@given(name=st.sampled_from(["sound", "large chunk", "outside", "objects"]), changes=damage)
def test_damaged_own_hdf5(
    name: str, changes: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("d") / "mine.hdf5"
    with h5py.File(path, "w") as file:
        HDF5[name](file)
    path.write_bytes(flip(path.read_bytes(), *changes))
    told("damaged own HDF5", [path.name], lambda: own(path))


def test_a_byte_on_which_libhdf5_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2.0 reads such a file for ever; another may see what is wrong."""
    monkeypatch.setattr(hdf5, "SECONDS", 2)
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        for name in ("elbo", "layers/1/kl"):
            array = file.create_dataset(name, data=np.zeros((60, 4, 4), "u1"))
            array.attrs["sha256"] = "0" * 64
        file.attrs["attributes"] = "{}"
    content = bytearray(path.read_bytes())
    content[3217] = 0
    path.write_bytes(content)
    told("damaged own HDF5", [path.name], lambda: own(path, array="elbo", white=255))


PICTURES = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "TIFF": "tif", "WEBP": "webp", "BMP": "bmp"}


@cases(3)
@given(
    kind=st.sampled_from(sorted(PICTURES)),
    mode=st.sampled_from(["L", "RGB", "P", "1", "RGBA", "CMYK"]),
    changes=damage,
    header=st.one_of(st.none(), st.tuples(sizes, sizes)),
)
def test_own_pictures(
    kind: str,
    mode: str,
    changes: Any,
    header: tuple[int, int] | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Damaged files of every format, and headers that promise more than follows."""
    buffer = io.BytesIO()
    try:
        Image.fromarray(PIXELS[0]).convert(mode).save(buffer, kind)
    except (OSError, ValueError):
        return  # this format does not have this mode
    content = png(*header, body=zlib.compress(bytes(99))) if header else buffer.getvalue()
    path = tmp_path_factory.mktemp("d") / f"x.{PICTURES[kind]}"
    path.write_bytes(flip(content, *changes))
    found = told(
        "own pictures", [path.name], lambda: read_picture(str(path), Wanted.of("mine", {}))
    )
    assert found is None or found.dtype == np.uint8


def folder_of(path: Path) -> Path:
    path.mkdir()
    for number, image in enumerate(PIXELS):
        Image.fromarray(image).save(path / f"{number:03d}.png")
    return path


def test_folders_with_hostile_names(tmp_path: Path) -> None:
    """Names with control characters, bytes that are no text, and shell; links out, round and to
    nowhere."""
    folder = folder_of(tmp_path / "pictures")
    sound = (folder / "000.png").read_bytes()
    for name in ("a\nb.png", "-rf.png", "$(id).png", ";ls.png", "\x1b[2J.png", "é\u202e.png"):
        (folder / name).write_bytes(sound)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")).write_bytes(sound)
    found = told("own folders", [], lambda: own(folder))
    assert found is not None
    assert len(found.train_images) + len(found.test_images) == 67
    for target in ("/etc/passwd", "/", ".", "link.png", "/nowhere"):
        (folder / "link.png").unlink(missing_ok=True)
        (folder / "link.png").symlink_to(target)
        refused = told("own folders", ["link.png"], lambda: own(folder))
        # links to nothing and to folders are no image files
        assert (refused is None) == (target in ("/etc/passwd", "link.png"))
    (folder / "link.png").unlink()
    (folder / "\xff\n.png").write_bytes(b"no picture")
    assert told("own folders", ["\\n.png"], lambda: own(folder)) is None


def test_folders_deeper_than_the_stack(tmp_path: Path) -> None:
    """Deeper than Python recurses."""
    folder = folder_of(tmp_path / "pictures")
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        assert told("own folders", [], lambda: own(folder)) is not None
    finally:
        # Python's own way to remove folders recurses, too
        subprocess.run(["rm", "-rf", folder], check=True)


def test_bombs(tmp_path: Path) -> None:
    """A few kilobytes that unpack to gigabytes."""
    path = tmp_path / "x.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(bytes(2**20))
    assert told("bombs", [path.name], lambda: read_idx(path, mnist.MAX_BYTES)) is None
    assert (
        told("bombs", ["cifar"], lambda: cifar10.from_archive(path.read_bytes(), Path("cifar")))
        is None
    )
    bomb = tmp_path / "bomb.npz"
    shape = (MOST_BYTES // 2000 + 1, 40, 50)
    write_arrays(bomb, {"images": npy_header(shape, "|u1")})
    assert told("bombs", [bomb.name], lambda: own(bomb)) is None
    picture = tmp_path / "bomb.png"
    picture.write_bytes(png(30_000, 30_000, zlib.compress(bytes(10**6))))
    assert (
        told("bombs", [picture.name], lambda: read_picture(str(picture), Wanted.of("m", {})))
        is None
    )
    text = tmp_path / "text.png"
    body = zlib.compress(bytes(10**8))
    chunk = b"key\0\0" + body
    content = png(8, 6)
    part = struct.pack(">I", len(chunk)) + b"zTXt" + chunk
    part += struct.pack(">I", zlib.crc32(b"zTXt" + chunk))
    text.write_bytes(content[:33] + part + content[33:])
    told("bombs", [text.name], lambda: read_picture(str(text), Wanted.of("m", {})))


def test_large_arrays_are_converted_in_little_memory(tmp_path: Path) -> None:
    """60 MB of bytes at once would be 500 MB while they are rounded, several times over."""
    path = tmp_path / "large.npy"
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(60, 1024, 1024))
    images[:, 0, 0] = 255
    images.flush()
    made = told("bombs", [path.name], lambda: own(path, threshold=0.5, invert=True, white=255))
    assert made is not None
    assert made.train_images.max() == 255


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_what_is_no_file(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    os.mkfifo(tmp_path / f"pipe{suffix}")
    for name in (f"folder{suffix}", f"pipe{suffix}", f"none{suffix}"):
        assert told("own files", [name], lambda name=name: own(tmp_path / name)) is None  # type: ignore[misc]
