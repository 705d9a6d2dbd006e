"""Expressions for akarin's Expr that several filters need."""

from __future__ import annotations

from vs_gainmap.color.transfer import PQ_C1, PQ_C2, PQ_C3, PQ_M1, PQ_M2


def pq_signal(light: str) -> str:
    """Return the expression that codes light, 0..1 of 10 000 cd/m2, as PQ (SMPTE ST 2084)."""
    return (
        f"{light} {PQ_M1!r} pow power! "
        f"{PQ_C1!r} power@ {PQ_C2!r} * + 1 power@ {PQ_C3!r} * + / {PQ_M2!r} pow"
    )


def pq_signal_of_log(log_light: str) -> str:
    """Return the expression of `pq_signal` for the natural logarithm of light, at most 0."""
    return (
        f"{log_light} {PQ_M1!r} * exp power! "
        f"{PQ_C1!r} power@ {PQ_C2!r} * + 1 power@ {PQ_C3!r} * + / {PQ_M2!r} pow"
    )
