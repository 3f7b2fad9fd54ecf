"""Benchmarks: each module has ``measure() -> list[dict]``."""
