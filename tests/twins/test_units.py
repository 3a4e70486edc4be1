import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from twins.units import METRIC, OFFSETS, PLAIN, PREFIXES, convert, parse

# NIST SP 811 (2008), appendix B, and the definitions of the SI
KNOWN = [
    (1.0, "kW.h", "MJ", 3.6),
    (1.0, "[psi]", "kPa", 6.894757),
    (1.0, "[HP]", "W", 745.6999),
    (1.0, "atm", "mm[Hg]", 760.0),
    (100.0, "Cel", "[degF]", 212.0),
    (-40.0, "[degF]", "Cel", -40.0),
    (0.0, "Cel", "K", 273.15),
    (1.0, "d", "h", 24.0),
    (60.0, "{rev}/min", "Hz", 1.0),
    (1.0, "mg/L", "ug/mL", 1.0),
    (1.0, "L/min", "m3/h", 0.06),
    (1.0, "[gal_us]", "L", 3.785412),
    (1.0, "W/(m2.K)", "mW/cm2/K", 0.1),
    (5.0, "%", "1", 0.05),
    (1.0, "10*9/L", "/uL", 1000.0),
    (1.0, "dB", "B", 0.1),
    (180.0, "deg", "rad", np.pi),
    (1.0, "[Btu]/h", "W", 0.2930711),
]


@pytest.mark.parametrize(("value", "unit", "to", "expected"), KNOWN)
def test_reference_conversions(value, unit, to, expected):
    np.testing.assert_allclose(convert([value], unit, to), [expected], rtol=1e-6)
    np.testing.assert_allclose(convert([expected], to, unit), [value], rtol=1e-6)


ATOMS = st.sampled_from([p + a for p in PREFIXES for a in METRIC] + list(PLAIN))
UNITS = st.lists(st.tuples(ATOMS, st.sampled_from(["", "2", "-1"])), min_size=1, max_size=3)


@given(UNITS, UNITS)
def test_a_product_of_units_multiplies_factors_and_adds_dimensions(left, right):
    a, b = (".".join(atom + ("" if atom.startswith("10") else power) for atom, power in part) for part in (left, right))
    whole, inverse, one, two = parse(f"{a}.({b})"), parse(f"{a}/({b})"), parse(a), parse(b)
    np.testing.assert_allclose(whole.factor, one.factor * two.factor, rtol=1e-9)
    np.testing.assert_allclose(inverse.factor, one.factor / two.factor, rtol=1e-9)
    added = {base: dict(one.dimension).get(base, 0) + dict(two.dimension).get(base, 0) for base, _ in whole.dimension}
    assert dict(whole.dimension) == added


@given(st.sampled_from([*OFFSETS, "K", "[degR]"]), st.sampled_from([*OFFSETS, "K", "mK"]), st.floats(-200, 2000))
def test_there_and_back_again(unit, to, value):
    np.testing.assert_allclose(convert(convert([value], unit, to), to, unit), [value], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("unit", "right"),
    [
        ("degC", "Cel"),
        ("°C", "Cel"),
        ("Celcius", "Cel"),
        ("", "1"),
        ("m^2", "m2"),
        ("m²", "m2"),
        ("kWh", "kW.h"),
        ("mm/sec", "mm/s"),
        ("m / s", "m/s"),
        ("kW h", "kW.h"),
        ("rpm", "{rev}/min"),
        ("kpa", "kPa"),
        ("KW", "kW"),
        ("Volt", "V"),
        ("W/m^2/°C", "W/m2/K"),
        ("psi", "[psi]"),
        ("ft", "[ft_i]"),
    ],
)
def test_an_unknown_unit_is_refused_with_the_one_that_was_meant(unit, right):
    with pytest.raises(InputError) as caught:
        parse(unit)
    assert f"unknown unit {unit!r}" in str(caught.value)
    assert f"did you mean {right!r}" in str(caught.value)


@pytest.mark.parametrize("unit", ["furlong", "mm//s", "/", "m)", "(m", "Cel/h", "m.", "2m3x", "[nothing]", "µ", "m s"])
def test_nonsense_is_refused(unit):
    with pytest.raises(InputError, match="unknown unit"):
        parse(unit)


def test_another_dimension_is_refused():
    with pytest.raises(InputError, match="cannot convert 'Cel' to 'm'"):
        convert([1.0], "Cel", "m")
