"""The curves as polynomials, for cores that have sixteen lanes and no power.

All were fitted by least squares, reweighted until the largest error, counted in 10-bit codes of
PQ, was even. `tests/test_fused.py` holds them against `vs_gainmap.color`.
"""

from __future__ import annotations

# Signal to light: x ** p = x * r * P(r) for r = sqrt(x), x from 0 to 1.5, from the constant up.
# 0.05 codes for 2.2 and 0.02 for 2.4, from a quarter of SDR white's light to four times it.
POWER = {
    "gamma22": (
        -0.00244515901,
        0.27258434,
        1.73506621,
        -2.58339544,
        2.93765918,
        -1.80652409,
        0.447223279,
    ),
    "bt1886": (
        -0.000393295384,
        0.0328117445,
        1.38526128,
        -0.987649893,
        1.05467814,
        -0.646285809,
        0.16160143,
    ),
}
# log2(m) - (m - 1) for m from 1 to 2, without error at both ends: 0.0001, 0.007 codes.
LOG = (-1.51982234, 3.08636388, -2.13411535, 0.649703132, -0.0821293172)
# The PQ signal of t, where light is 2 ** (HALF_STOPS * (t - 1)) of 10 000 cd/m2, t from -1 to 1:
# 0.016 codes, and a fourth of one for no light at all.
HALF_STOPS = 15.5
PQ = (
    0.0853675871,
    0.362432494,
    0.590523565,
    0.326093915,
    -0.224542335,
    -0.3085763,
    0.0558527277,
    0.157850517,
    -0.00705869326,
    -0.0379547527,
)
