"""Configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rungs.errors import ConfigError
from rungs.study.layers import read_file


def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("profile: a\nnetwork: {batch_norm: true}\nnetwork: {upward: mu}\n")
    with pytest.raises(ConfigError, match="'network' is there twice"):
        read_file(path)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("010", r"line 2: YAML reads 010 in base 8, as 8; write 10 or 8, or put quotes"),
        ("-0_17", r"YAML reads -0_17 in base 8, as -15; write -17 or -15,"),
        ("1:30", r"YAML reads 1:30 in base 60, as 90; write 90,"),
        ("1:30.5", r"YAML reads 1:30\.5 in base 60, as 90\.5; write 90\.5,"),
        ("[1, {b: 012}]", r"YAML reads 012 in base 8, as 10; write 12 or 10,"),
        ("\n\tb: 1", r"line 3, column 1; indent with spaces, not with tabs"),
    ],
)
def test_a_number_that_yaml_reads_otherwise_is_refused(
    tmp_path: Path, written: str, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"profile: a\na: {written}\n")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{message}"):
        read_file(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("0", 0), ("007", 7), ("-0", 0), ("1_000", 1000), ("0x1F", 31), ("0b11", 3), ("10", 10)),
        *(("1.0e-3", 0.001), ("0.5", 0.5), ("01.5", 1.5), ("'010'", "010"), ("'1:30'", "1:30")),
        *(("1e-3", "1e-3"), ("09", "09"), ("yes", True), ("off", False)),
    ],
)
def test_a_value_that_is_read_as_it_is_meant_stays(
    tmp_path: Path, written: str, value: object
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"a: {written}\n")
    found = read_file(path)["a"]
    assert found == value
    assert type(found) is type(value)
