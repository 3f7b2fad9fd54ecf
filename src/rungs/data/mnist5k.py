"""5,000 real MNIST digits, 500 a class, embedded in ``resources/``.

Split 4,000 / 1,000, stratified by class, with a fixed seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rungs.data.prepared import Prepared
from rungs.paths import ROOT
from rungs.storage import result_file

SOURCE = ROOT / "resources" / "mnist5k.h5"
SPLIT_SEED = 5000
TEST_PER_CLASS = 100


def prepare(raw: Path | None, cache: Path) -> Prepared:
    """Split the embedded digits; ``raw`` and ``cache`` are not needed."""
    source = result_file.read(SOURCE)
    images, labels = source["images"], source["labels"]
    generator = np.random.default_rng(SPLIT_SEED)
    order = generator.permutation(len(labels))
    shuffled = labels[order]
    rank = np.zeros(len(labels), dtype=np.int64)
    for digit in range(10):
        rank[shuffled == digit] = np.arange(np.count_nonzero(shuffled == digit))
    test, train = order[rank < TEST_PER_CLASS], order[rank >= TEST_PER_CLASS]
    return Prepared(
        images[train], labels[train], images[test], labels[test], source.attributes["provenance"]
    )
