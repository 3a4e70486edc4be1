"""Units of measure in UCUM (case-sensitive; https://ucum.org): checked, and converted where the dimension agrees.

A unit is a product of atoms with prefixes and exponents: `mm/s`, `kW.h`, `mL/min/{body}`, `10*9/L`. `1` is
dimensionless; an annotation in braces counts as 1. Degrees Celsius and Fahrenheit have an offset and stand alone.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError

PREFIXES = {
    **{"Y": 1e24, "Z": 1e21, "E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "da": 1e1},
    **{
        "d": 1e-1,
        "c": 1e-2,
        "m": 1e-3,
        "u": 1e-6,
        "n": 1e-9,
        "p": 1e-12,
        "f": 1e-15,
        "a": 1e-18,
        "z": 1e-21,
        "y": 1e-24,
    },
    **{"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40},
}
BASE = ("m", "s", "g", "rad", "K", "C", "cd", "B", "[pH]", "[iU]", "[arb'U]")  # UCUM's seven, and scales of their own
# Atoms by definition (UCUM tables 4–22): symbol: (factor, unit). The first group takes prefixes.
METRIC = {
    **{"mol": (6.02214076e23, "1"), "sr": (1, "rad2"), "Hz": (1, "/s"), "N": (1, "kg.m/s2"), "Pa": (1, "N/m2")},
    **{"J": (1, "N.m"), "W": (1, "J/s"), "A": (1, "C/s"), "V": (1, "J/C"), "F": (1, "C/V"), "Ohm": (1, "V/A")},
    **{"S": (1, "A/V"), "Wb": (1, "V.s"), "T": (1, "Wb/m2"), "H": (1, "Wb/A"), "lm": (1, "cd.sr"), "lx": (1, "lm/m2")},
    **{"Bq": (1, "/s"), "Gy": (1, "J/kg"), "Sv": (1, "J/kg"), "kat": (1, "mol/s"), "U": (1e-6 / 60, "mol/s")},
    **{
        "L": (1e-3, "m3"),
        "l": (1e-3, "m3"),
        "ar": (100, "m2"),
        "t": (1e6, "g"),
        "bar": (1e5, "Pa"),
        "u": (1.66053906660e-24, "g"),
    },
    **{"eV": (1.602176634e-19, "J"), "cal": (4.184, "J"), "m[Hg]": (133322.387415, "Pa"), "m[H2O]": (9806.65, "Pa")},
    **{"[g]": (9.80665, "m/s2"), "bit": (1, "1"), "By": (8, "1"), "Bd": (1, "/s"), "eq": (1, "mol"), "osm": (1, "mol")},
    **{
        "gf": (9.80665, "g.m/s2"),
        "dyn": (1e-5, "N"),
        "erg": (1e-7, "J"),
        "P": (0.1, "Pa.s"),
        "St": (1e-4, "m2/s"),
        "G": (1e-4, "T"),
        "Np": (1, "1"),
    },
}
PLAIN = {
    **{
        "min": (60, "s"),
        "h": (3600, "s"),
        "d": (86400, "s"),
        "wk": (604800, "s"),
        "mo": (2629800, "s"),
        "a": (31557600, "s"),
    },
    **{
        "deg": (math.pi / 180, "rad"),
        "'": (math.pi / 10800, "rad"),
        "''": (math.pi / 648000, "rad"),
        "gon": (math.pi / 200, "rad"),
    },
    **{"[pi]": (math.pi, "1"), "circ": (2 * math.pi, "rad"), "10*": (10, "1"), "10^": (10, "1"), "%": (1e-2, "1")},
    **{
        "[ppth]": (1e-3, "1"),
        "[ppm]": (1e-6, "1"),
        "[ppb]": (1e-9, "1"),
        "[pptr]": (1e-12, "1"),
        "atm": (101325, "Pa"),
    },
    **{
        "[in_i]": (0.0254, "m"),
        "[ft_i]": (0.3048, "m"),
        "[yd_i]": (0.9144, "m"),
        "[mi_i]": (1609.344, "m"),
        "[nmi_i]": (1852, "m"),
    },
    **{
        "[kn_i]": (1852 / 3600, "m/s"),
        "[lb_av]": (453.59237, "g"),
        "[oz_av]": (28.349523125, "g"),
        "[gal_us]": (3.785411784, "L"),
    },
    **{"[lbf_av]": (4.4482216152605, "N"), "[psi]": (6894.757293168, "Pa"), "[HP]": (745.69987158227, "W")},
    **{
        "[Btu]": (1055.05585262, "J"),
        "[degR]": (5 / 9, "K"),
        "[acr_us]": (4046.872609874, "m2"),
        "[in_i'Hg]": (3386.388640341, "Pa"),
    },
}
OFFSETS = {"Cel": (1.0, 273.15), "[degF]": (5 / 9, 459.67 * 5 / 9)}  # kelvin = factor · value + offset
MISTAKES = {
    **dict.fromkeys(("", "-", "none", "unitless", "count", "cycles", "cycle", "parts", "pcs", "ratio"), "1"),
    **dict.fromkeys(("°C", "degC", "deg C", "celsius", "Celsius", "℃", "oC", "cel"), "Cel"),
    **dict.fromkeys(("°F", "degF", "fahrenheit", "Fahrenheit", "℉"), "[degF]"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "H"), "h"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **{"volt": "V", "watt": "W", "ampere": "A", "amp": "A", "meter": "m", "metre": "m", "newton": "N", "pascal": "Pa"},
    **{"joule": "J", "gram": "g", "liter": "L", "litre": "L", "hertz": "Hz", "bel": "B", "decibel": "dB", "dBA": "dB"},
    **dict.fromkeys(("mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("month", "months"), "mo"),
    **dict.fromkeys(("yr", "year", "years"), "a"),
    **dict.fromkeys(("rpm", "RPM", "rev/min", "r/min"), "{rev}/min"),
    **dict.fromkeys(("psi", "psia", "psig", "PSI"), "[psi]"),
    **dict.fromkeys(("ohm", "Ω", "ohms"), "Ohm"),
    **dict.fromkeys(("lb", "lbs", "lbm"), "[lb_av]"),
    **{
        "kelvin": "K",
        "inHg": "[in_i'Hg]",
        "mmHg": "mm[Hg]",
        "ft": "[ft_i]",
        "in": "[in_i]",
        "inch": "[in_i]",
        "mph": "[mi_i]/h",
    },
    **{
        "kph": "km/h",
        "kmh": "km/h",
        "Wh": "W.h",
        "kWh": "kW.h",
        "MWh": "MW.h",
        "GWh": "GW.h",
        "Ah": "A.h",
        "mAh": "mA.h",
    },
    **{
        "VA": "V.A",
        "kVA": "kV.A",
        "MVA": "MV.A",
        "ppm": "[ppm]",
        "ppb": "[ppb]",
        "pH": "[pH]",
        "IU": "[iU]",
        "percent": "%",
    },
    **{
        "hp": "[HP]",
        "gal": "[gal_us]",
        "lbf": "[lbf_av]",
        "micron": "um",
        "bpm": "/min",
        "degree": "deg",
        "°": "deg",
    },
    **{
        "EUR": "{EUR}",
        "USD": "{USD}",
        "€": "{EUR}",
        "$": "{USD}",
        "gpm": "[gal_us]/min",
        "lpm": "L/min",
        "BTU": "[Btu]",
    },
}
_TOKEN = re.compile(
    r"(?P<annotation>\{[^{}]*\})|(?P<operator>[./()])|(?P<atom>(?:10[*^]|(?:\[[^\[\]]*\]|[^\[\]{}./()0-9+\-\s])+)"
    r"(?P<exponent>[+-]?\d+)?)|(?P<number>\d+)"
)


class Unit(NamedTuple):
    """value in base units = factor · value + offset."""

    factor: float
    dimension: tuple[tuple[str, int], ...]  # base unit and exponent, sorted, no zeros
    offset: float = 0.0


@cache
def parse(unit: str) -> Unit:
    """What *unit* means; raises InputError with a suggestion where it is not UCUM."""
    found = _parse(unit) if isinstance(unit, str) else None
    if found is None:
        near = suggest(str(unit))
        raise InputError(
            f"unknown unit {unit!r}; units are UCUM" + (f": did you mean {near!r}?" if near else ", such as 'mm/s'")
        )
    return found


def convert(values: Any, unit: str, to: str) -> np.ndarray:
    """*values* in *unit* as float64 in the unit *to*; raises InputError where the dimensions differ."""
    source, target = parse(unit), parse(to)
    values = np.asarray(values, np.float64)
    if unit == to:
        return values
    if source.dimension != target.dimension:
        raise InputError(f"cannot convert {unit!r} to {to!r}: one is {_spell(source)}, the other {_spell(target)}")
    if source.offset == target.offset:
        return values * (source.factor / target.factor)
    return (values * source.factor + (source.offset - target.offset)) / target.factor


def suggest(unit: str) -> str | None:
    """A valid unit near *unit*, or None."""
    plain = unit.strip()
    rewritten = plain
    for wrong, right in (
        ("²", "2"),
        ("³", "3"),
        ("µ", "u"),
        ("μ", "u"),
        ("·", "."),
        ("×", "."),
        ("**", ""),
        ("^", ""),
        ("*", "."),
        (" per ", "/"),
        ("°C", "K"),
        ("degC", "K"),
    ):
        rewritten = rewritten.replace(wrong, right)
    rewritten = re.sub(r"\s+", ".", re.sub(r"\s*([./])\s*", r"\1", rewritten))
    pieces = re.split(r"([./])", rewritten)
    mended = "".join(MISTAKES.get(piece, piece) if piece else piece for piece in pieces)
    for guess in (MISTAKES.get(plain), MISTAKES.get(plain.lower()), rewritten, mended):
        if guess and _parse(guess):
            return guess
    known = [p + a for a in (*METRIC, *BASE) for p in ("", "k", "m", "M", "u", "c")] + [*PLAIN, *OFFSETS]
    same = [guess for guess in known if guess.lower() == plain.lower()]
    near = same or difflib.get_close_matches(plain, known, 1, 0.7)
    words = difflib.get_close_matches(plain.lower(), [word for word in MISTAKES if len(word) > 3], 1, 0.8)
    return MISTAKES[words[0]] if words and not same else near[0] if near else None


def _parse(unit: str) -> Unit | None:
    if unit in OFFSETS:
        factor, offset = OFFSETS[unit]
        return Unit(factor, (("K", 1),), offset)
    tokens = _tokens(unit)
    parsed = _product(tokens) if tokens else None
    return Unit(parsed[0], tuple(sorted((b, e) for b, e in parsed[1].items() if e))) if parsed and not tokens else None


def _tokens(unit: str) -> list[re.Match] | None:
    tokens, at = [], 0
    while at < len(unit):
        match = _TOKEN.match(unit, at)
        if not match:
            return None
        tokens.append(match)
        at = match.end()
    return tokens


def _product(tokens: list[re.Match]) -> tuple[float, dict[str, int]] | None:
    """Consume tokens up to a closing parenthesis or the end."""
    factor, dimension, sign, bare = 1.0, {}, 1, True  # bare: a component must come next
    if tokens[0]["operator"] == "/":
        tokens.pop(0)
        sign = -1
    while tokens:
        token = tokens.pop(0)
        operator = token["operator"]
        if operator == ")":
            tokens.insert(0, token)
            break
        if operator in (".", "/"):
            if bare:
                return None
            sign, bare = (1 if operator == "." else -1), True
            continue
        if token["annotation"] and not bare:  # an annotation directly after a unit says nothing more
            continue
        if not bare:
            return None
        part = _component(token, tokens)
        if part is None:
            return None
        factor *= part[0] ** sign
        for base, exponent in part[1].items():
            dimension[base] = dimension.get(base, 0) + sign * exponent
        bare = False
    return None if bare else (factor, dimension)


def _component(token: re.Match, tokens: list[re.Match]) -> tuple[float, dict[str, int]] | None:
    if token["operator"] == "(":
        inside = _product(tokens) if tokens else None
        if inside is None or not tokens or tokens.pop(0)["operator"] != ")":
            return None
        return inside
    if token["annotation"]:
        return 1.0, {}
    if token["number"]:
        return float(token["number"]), {}
    exponent = token["exponent"]
    atom = _atom(token["atom"][: -len(exponent)] if exponent else token["atom"])
    if atom is None:
        return None
    power = int(exponent or 1)
    return atom[0] ** power, {base: e * power for base, e in atom[1].items()}


@cache
def _atom(symbol: str) -> tuple[float, dict[str, int]] | None:
    if symbol in BASE:
        return 1.0, {symbol: 1}
    definition = METRIC.get(symbol) or PLAIN.get(symbol)
    if definition:
        parsed = _parse(definition[1])
        assert parsed
        return definition[0] * parsed.factor, dict(parsed.dimension)
    for prefix, scale in PREFIXES.items():
        rest = symbol[len(prefix) :]
        if symbol.startswith(prefix) and (rest in METRIC or rest in BASE):
            atom = _atom(rest)
            return (scale * atom[0], atom[1]) if atom else None
    return None


def _spell(unit: Unit) -> str:
    return ".".join(base + (str(e) if e != 1 else "") for base, e in unit.dimension) or "dimensionless"
