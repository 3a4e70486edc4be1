"""A transformer's temperatures and ageing, against the standard's own figures and an independent implementation."""

import math

import numpy as np
import pytest

from sim.errors import InputError
from sim.homes.transformer import Transformer, aged_h, ageing_rate, warm


def test_rated_load_gives_98_degrees_and_a_rate_of_one():
    t = Transformer()
    assert t.steady_cel(1.0, 20.0) == (75.0, 98.0)
    hot = warm(t, np.linspace(0, 100, 101), np.ones(100), np.full(100, 20.0)).hot_spot_cel
    assert hot[-1] == pytest.approx(98.0)
    assert aged_h(t, np.array([0.0, 7.0]), np.full(2, 98.0)) == pytest.approx(7.0)
    assert ageing_rate(t, np.array([104.0, 92.0])).tolist() == [2.0, 0.5]
    assert ageing_rate(Transformer(paper="upgraded"), np.array([110.0])) == pytest.approx(1.0)


def test_a_step_in_closed_form_whatever_the_breakpoints():
    t = Transformer(k21=2.0, k11=0.5)
    coarse = warm(t, np.array([0.0, 1.5]), np.array([1.2]), np.array([10.0]), from_load=0.3)
    fine = warm(t, np.linspace(0, 1.5, 91), np.full(90, 1.2), np.full(90, 10.0), from_load=0.3)
    assert fine.hot_spot_cel[-1] == pytest.approx(coarse.hot_spot_cel[-1], abs=1e-9)
    (oil0, hot0), (oil1, _) = t.steady_cel(0.3, 10.0), t.steady_cel(1.2, 10.0)
    assert (coarse.oil_cel[0], coarse.hot_spot_cel[0]) == pytest.approx((oil0, hot0))
    oil = oil1 + (oil0 - oil1) * math.exp(-1.5 / 1.5)
    rise0, rise1 = 23 * 0.3**1.6, 23 * 1.2**1.6
    first = 2 * (rise1 + (rise0 - rise1) * math.exp(-1.5 / (8 / 60)))
    second = rise1 + (rise0 - rise1) * math.exp(-1.5 / 1.5)
    assert coarse.hot_spot_cel[-1] == pytest.approx(oil + first - second)


def test_loads_below_zero_and_wrong_paper_are_refused():
    with pytest.raises(ValueError, match="not negative"):
        warm(Transformer(), np.array([0.0, 1.0]), np.array([-0.1]), np.array([0.0]))
    with pytest.raises(InputError, match="paper"):
        Transformer(paper="none")  # type: ignore[arg-type]


@pytest.mark.parametrize("paper", ["normal", "upgraded"])
def test_it_agrees_with_an_independent_model(paper):
    pytest.importorskip("transformer_thermal_model")
    pd = pytest.importorskip("pandas")
    from transformer_thermal_model.aging import days_aged
    from transformer_thermal_model.model import Model
    from transformer_thermal_model.schemas import InputProfile, UserTransformerSpecifications
    from transformer_thermal_model.transformer import DistributionTransformer, PaperInsulationType

    rng = np.random.default_rng(1)
    minutes = np.concatenate(([0], np.cumsum(rng.integers(1, 60, 400))))
    load, ambient = rng.uniform(0, 1.5, 401), rng.uniform(-10, 35, 401)
    specs = UserTransformerSpecifications(
        load_loss=5000, no_load_loss=1000, nom_load_sec_side=1000, amb_temp_surcharge=0, top_oil_temp_rise=55,
        hot_spot_fac=1.0, winding_oil_gradient=23,
    )  # fmt: skip
    profile = InputProfile.create(
        datetime_index=pd.Timestamp("2025-01-01") + pd.to_timedelta(minutes, unit="min"),
        load_profile=1000 * load,
        ambient_temperature_profile=ambient,
    )
    theirs = Model(temperature_profile=profile, transformer=DistributionTransformer(specs)).run()
    # Theirs begins at the first ambient temperature, though the first interval has the second one.
    start = ambient[0]
    t = Transformer(paper=paper)
    exact = warm(t, minutes / 60, load[1:], ambient[1:])
    tau_h = t.oil_min / 60
    exact_oil = exact.oil_cel + (start - ambient[1]) * np.exp(-minutes / 60 / tau_h)
    np.testing.assert_allclose(theirs.top_oil_temp_profile, exact_oil, atol=1e-9)
    shift = exact_oil - exact.oil_cel
    np.testing.assert_allclose(theirs.hot_spot_temp_profile, exact.hot_spot_cel + shift, atol=1e-9)
    kind = PaperInsulationType.NORMAL if paper == "normal" else PaperInsulationType.THERMAL_UPGRADED
    rate = ageing_rate(t, np.asarray(theirs.hot_spot_temp_profile))
    ours_days = float(np.sum(rate[1:] * np.diff(minutes)) / 1440)
    assert days_aged(theirs.hot_spot_temp_profile, kind) == pytest.approx(ours_days, rel=1e-9)
