"""Benchmarks of single operations: each module has ``measure() -> list[dict]``."""
