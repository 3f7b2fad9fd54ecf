"""What captions say of figures of any data and any runs."""

from __future__ import annotations

from rungs.figures import FIGURES


def test_captions_are_of_any_data() -> None:
    """Digits are but an example."""
    for name, entry in FIGURES.items():
        told = f"{entry.title}. {entry.look_for}".replace("digits of MNIST, for example", "")
        assert "digit" not in told.lower(), name
