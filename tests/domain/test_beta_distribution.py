import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.domain.beta_distribution import beta_quantile, regularized_incomplete_beta

SCIPY = [  # scipy.stats.beta.ppf of SciPy 1.17.1
    (0.001, 0.6, 0.6, 1.855873851745199e-05),
    (0.1, 0.6, 0.6, 0.03958440558878085),
    (0.25, 0.6, 0.6, 0.17568037865269498),
    (0.5, 0.6, 0.6, 0.5000000000000001),
    (0.9, 0.6, 0.6, 0.9604155944112192),
    (0.999, 0.6, 0.6, 0.9999814412614826),
    (0.3, 0.3, 2, 0.0075821940877356655),
    (0.7, 2, 0.3, 0.9924178059122644),
    (1e-09, 1.5, 0.7, 1.3486016915842077e-06),
    (0.4, 50, 50, 0.48730298673442285),
    (0.2, 0.05, 0.05, 1.0183585052217087e-08),
    (0.6, 5, 3, 0.6794141694357996),
]


@pytest.mark.parametrize(("p", "a", "b", "x"), SCIPY)
def test_quantiles_equal_scipys(p, a, b, x):
    assert beta_quantile(p, a, b) == pytest.approx(x, rel=1e-11)


@given(st.floats(0, 1))
def test_known_in_closed_form(p):
    assert beta_quantile(p, 1.0, 1.0) == pytest.approx(p, abs=1e-12)
    assert beta_quantile(p, 0.5, 0.5) == pytest.approx(math.sin(math.pi * p / 2) ** 2, abs=1e-12)
    assert beta_quantile(p, 2.0, 1.0) == pytest.approx(math.sqrt(p), abs=1e-12)


@given(st.floats(0.001, 0.999), st.floats(0.05, 50), st.floats(0.05, 50))
def test_inverse_of_the_distribution(p, a, b):
    x = beta_quantile(p, a, b)
    if 1e-200 < x < 1 - 1e-9:
        assert regularized_incomplete_beta(x, a, b) == pytest.approx(p, rel=1e-6)
    assert 0 <= x <= 1


def test_the_ends():
    assert [beta_quantile(p, 0.6, 0.6) for p in (-0.1, 0.0, 1.0, 1.1)] == [0.0, 0.0, 1.0, 1.0]
