"""The evaluation of models with latents in layers.

The arrays are described in :mod:`rungs.evaluation.bounds`, :mod:`~rungs.evaluation.activity`,
:mod:`~rungs.evaluation.representation`, :mod:`~rungs.evaluation.pictures` and
:mod:`~rungs.evaluation.aggregate`.
"""

from __future__ import annotations

from typing import Any

from rungs.evaluation.activity import unit_arrays
from rungs.evaluation.aggregate import aggregate_arrays
from rungs.evaluation.bounds import bound_arrays
from rungs.evaluation.definitions import PICTURES
from rungs.evaluation.evaluator import Evaluator
from rungs.evaluation.materials import Materials
from rungs.evaluation.pictures import picture_arrays
from rungs.evaluation.representation import representation_arrays


class HierarchicalEvaluator(Evaluator):
    """Measures VAEs and ladder VAEs of any depth."""

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return bounds, statistics of units, representations, pictures and aggregate posteriors."""
        model, settings, evaluation = self.model, self.settings, materials.evaluation
        train, test, rows = materials.train, materials.test, evaluation["chunk_rows"]
        found = {
            **bound_arrays(model, settings, materials, rows),
            **unit_arrays(model, settings, test.x, evaluation),
            **representation_arrays(model, settings, train, test),
            **aggregate_arrays(
                model, settings["seed"], materials.population.x, train.x, test.x, rows
            ),
        }
        if materials.brief:
            return found
        return found | picture_arrays(model, settings, test.shown(PICTURES))
