"""Whether devices are split as they should be: a broken draw, cache or server shows here first. Pure.

This is the two-sided check, for sources that count who was chosen. Who already *runs* a release lags behind, so there only
"too many" means something: :func:`otagate.gate.stats.log_e_up` with the weight as its limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CONCENTRATION = 100.0
"""How near to the intended shares the alternatives lie. Larger sees smaller differences, later."""
_SUM_ERROR = 1e-9


def log_e_split(counts: Sequence[int], shares: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Weigh the evidence that devices are not split by the intended shares, in either direction.

    Args:
        counts: Devices of each side, 0 or more.
        shares: Intended share of each side, 0..1, summing to 1; as many as there are counts.
        concentration: Weight of the mixture over alternatives, above 0.

    Returns:
        The natural logarithm of an e-value that is valid at all looks together: while the shares are as intended, it ever
        reaches ``1 / alpha`` with a chance of at most ``alpha``. Plus infinity when a side has devices that should have none.

    Raises:
        ValueError: Counts are negative, shares do not sum to 1, or there are not as many of both.

    **Source:** M. Lindon, A. Malek, "Anytime-valid inference for multinomial count data", NeurIPS 35 (2022): a Dirichlet
    mixture around the intended shares.
    """
    if len(counts) != len(shares) or any(count < 0 for count in counts) or any(share < 0 for share in shares):
        message = f"{counts} devices cannot be split by {shares}"
        raise ValueError(message)
    if abs(math.fsum(shares) - 1) > _SUM_ERROR or concentration <= 0:
        message = f"{shares} with concentration {concentration} is no split"
        raise ValueError(message)
    if any(count and not share for count, share in zip(counts, shares, strict=True)):
        return math.inf
    sides = [(count, share, concentration * share) for count, share in zip(counts, shares, strict=True) if share]
    known = math.fsum(prior for _, _, prior in sides)
    parts = [math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share) for count, share, prior in sides]
    return math.fsum([math.lgamma(known), -math.lgamma(known + sum(counts)), *parts])
