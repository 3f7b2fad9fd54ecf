"""Figures as they are embedded in the report: without loss, and small ones to choose from."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungs.errors import StoreError
from rungs.figures import BLANK
from rungs.storage.atomic import delete

if TYPE_CHECKING:
    from PIL.Image import Image

#: the box of a small picture, pixels: twice what the page shows, for screens of high density
SMALL = (440, 320)
QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        uri, small: the figure and its small picture, as ``data:`` addresses.
        width, height: of the figure, pixels.
    """

    uri: str
    small: str
    width: int
    height: int


def embed(path: Path) -> Picture | None:
    """Read the PNG file of a figure; None where the figure says that it shows nothing.

    Raises:
        StoreError: if the file is missing or damaged.
    """
    from PIL import Image

    try:
        with Image.open(path) as found:
            found.load()
            if found.info.get("Description") == BLANK:
                return None
            whole = found.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). {delete(path)} and run the same command again."
        ) from error
    small = whole.copy()
    small.thumbnail(SMALL)
    return Picture(
        _uri(whole, lossless=True), _uri(small, quality=QUALITY), whole.width, whole.height
    )


def _uri(picture: Image, **options: Any) -> str:
    """Return a picture as WebP, which takes half of what PNG takes."""
    file = io.BytesIO()
    picture.save(file, "WEBP", **options)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
