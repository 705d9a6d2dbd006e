"""The curves as polynomials, for cores that have sixteen lanes and no power.

All were fitted by least squares, reweighted until the largest error, counted in 10-bit codes of
PQ, was even. `tests/test_fused.py` holds them against `vs_gainmap.color`.
"""

from __future__ import annotations

# Signal to light: x ** p = x * r * P(r) for r = sqrt(x), x from 0 to 1.5, from the constant up.
# 0.1 codes for 2.2 and 0.05 for 2.4, from a quarter of SDR white's light to four times it.
POWER = {
    "gamma22": (-0.00350869634, 0.305360642, 1.43705297, -1.47120901, 1.02016773, -0.287340973),
    "bt1886": (-0.000725030804, 0.0431059189, 1.28911185, -0.616937592, 0.395442395, -0.109710469),
}
# log2(m) - (m - 1) for m from 1 to 2, without error at both ends: 0.0009, 0.05 codes.
LOG = (-1.16416374, 2.06468153, -1.05973576, 0.159217965)
# The PQ signal of t, where light is 2 ** (HALF_STOPS * (t - 1)) of 10 000 cd/m2, t from -1 to 1:
# 0.04 codes.
HALF_STOPS = 13.5
PQ = (
    0.142597806,
    0.460857442,
    0.521782679,
    0.102991583,
    -0.228382106,
    -0.0891915396,
    0.0811341446,
    0.0246842955,
    -0.0164315779,
)
