"""How far L_k still is below log p(x), estimated from the nested bounds of the same weights.

With the means over images of ``d = L_k - L_{k/10}`` and ``r = d / (L_{k/10} - L_{k/100})``, the steps that
are left, if each is r times the last, add up to ``G = d r / (1 - r)``. They shrink more slowly than that:
on trained models, the truth being known by other means, G was 0.44 to 0.62 of the gap at k = 100 and 0.61
to 0.77 of it at k of 1,000 and 5,000. The estimate is therefore G times 2 or 1.5. See ``docs/trust.md`` for
where it fails. No torch: figures use it.
"""

from __future__ import annotations

import numpy as np

#: k -> what G is multiplied by; linear in log k between, constant beyond
FACTORS = {100: 2.0, 1000: 1.5}
#: steps that shrink by less than this are taken to shrink so: the series has no limit near r = 1
LARGEST_RATIO = 0.9
TEN = 10


def remaining_gap(ks: np.ndarray, bounds: np.ndarray) -> float | None:
    """Return the estimate of ``log p(x) - L_k`` for the last k, at least 0, nats.

    The series starts at the largest k of which a tenth and a hundredth are among the ``ks``, and what the
    bound still rises from there to the last k is subtracted. A step of 0 leaves nothing. A ratio above
    :data:`LARGEST_RATIO`, which occurs between steps that are noise or far from the end, counts as that:
    a smaller gap than the steps suggest, but one.

    Args:
        ks: ascending, ``[ks]``.
        bounds: means over images of the nested bounds, ``[ks]``, nats.

    Returns:
        None where no k has a tenth and a hundredth.
    """
    mean = dict(zip((int(k) for k in ks), (float(bound) for bound in bounds), strict=True))
    starts = [k for k in mean if {k / TEN, k / TEN**2} <= set(mean)]
    if not starts:
        return None
    k = max(starts)
    step, earlier = mean[k] - mean[k // TEN], mean[k // TEN] - mean[k // TEN**2]
    if step <= 0:
        return 0.0
    ratio = min(step / earlier, LARGEST_RATIO) if earlier > 0 else LARGEST_RATIO
    series = step * ratio / (1 - ratio)
    factor = np.interp(np.log(k), np.log(list(FACTORS)), list(FACTORS.values()))
    return max(0.0, float(factor * series) - (mean[int(ks[-1])] - mean[k]))
