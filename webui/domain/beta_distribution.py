"""The quantile function of the Beta distribution, which the Beta schedules spread their steps by."""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p

_TINY = 1e-300  # in place of a zero denominator
_ACCURACY = 1e-15


def beta_quantile(p: float, a: float, b: float) -> float:
    """x in [0, 1] such that a Beta(a, b) variable is below x with probability p. Exact to about 1e-12.

    >>> beta_quantile(0.5, 0.6, 0.6), round(beta_quantile(0.9, 0.6, 0.6), 9)
    (0.5, 0.960415594)
    """
    if not 0 < p < 1:
        return float(p >= 1)
    if p == 0.5 and a == b:
        return 0.5
    if p > 0.5:  # the upper tail is the lower one of the mirrored distribution
        return 1 - beta_quantile(1 - p, b, a)
    # Newton's method on log P(x) as a function of log x, which is nearly a straight line where x is small, and bisection
    # where that would leave the bracket.
    log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
    low, high = -inf, 0.0
    u = min((log(p) + log(a) + log_beta) / a, -1e-9)
    if u < -690:  # less than any schedule can tell from 0
        return 0.0
    for _ in range(100):
        x = exp(u)
        below = regularized_incomplete_beta(x, a, b)
        error = log(below / p)
        low, high = (low, u) if error > 0 else (u, high)
        slope = exp(a * u + (b - 1) * log1p(-x) - log_beta) / below
        step = error / slope
        if abs(step) < 1e-13 * max(1.0, abs(u)):
            break
        u -= step
        if not low < u < high:
            u = (low + high) / 2 if low > -inf else high - 1.0
    return exp(u)


def regularized_incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the probability that a Beta(a, b) variable is below x in (0, 1).

    By the continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions, with Lentz's algorithm; it
    converges fast for x < (a + 1) / (a + b + 2), and beyond that I_x(a, b) = 1 − I_(1−x)(b, a).
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - regularized_incomplete_beta(1 - x, b, a)
    front = exp(a * log(x) + b * log1p(-x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _ACCURACY:
            break
    return front * value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
