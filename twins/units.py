"""Units of measure in UCUM (case-sensitive; https://ucum.org): checked, and converted where the dimension agrees.

A unit is a product of atoms with prefixes and exponents: `mm/s`, `kW.h`, `mL/min/{body}`, `10*9/L`. `1` is
dimensionless; an annotation in braces counts as 1. Degrees Celsius and Fahrenheit have an offset and stand alone.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError

# Tables are data: entries between bars, `symbol factor unit` (UCUM tables 4 to 22; NIST SP 811, appendix B, for
# customary units), and `right: wrong, wrong` for what people write instead.
_PREFIXES = """
Y 1e24 | Z 1e21 | E 1e18 | P 1e15 | T 1e12 | G 1e9 | M 1e6 | k 1e3 | h 1e2 | da 1e1 | d 1e-1 | c 1e-2 | m 1e-3 | u 1e-6
n 1e-9 | p 1e-12 | f 1e-15 | a 1e-18 | z 1e-21 | y 1e-24 | Ki 1024 | Mi 1048576 | Gi 1073741824 | Ti 1099511627776
"""
_METRIC = """
mol 6.02214076e+23 1 | sr 1 rad2 | Hz 1 /s | N 1 kg.m/s2 | Pa 1 N/m2 | J 1 N.m | W 1 J/s | A 1 C/s | V 1 J/C
F 1 C/V | Ohm 1 V/A | S 1 A/V | Wb 1 V.s | T 1 Wb/m2 | H 1 Wb/A | lm 1 cd.sr | lx 1 lm/m2 | Bq 1 /s | Gy 1 J/kg
Sv 1 J/kg | kat 1 mol/s | U 1.6666666666666667e-08 mol/s | L 0.001 m3 | l 0.001 m3 | ar 100 m2 | t 1000000 g
bar 100000 Pa | u 1.6605390666e-24 g | eV 1.602176634e-19 J | cal 4.184 J | m[Hg] 133322.387415 Pa
m[H2O] 9806.65 Pa | [g] 9.80665 m/s2 | bit 1 1 | By 8 1 | Bd 1 /s | eq 1 mol | osm 1 mol | gf 9.80665 g.m/s2
dyn 1e-05 N | erg 1e-07 J | P 0.1 Pa.s | St 0.0001 m2/s | G 0.0001 T | Np 1 1
"""
_PLAIN = """
min 60 s | h 3600 s | d 86400 s | wk 604800 s | mo 2629800 s | a 31557600 s | deg 0.017453292519943295 rad
' 0.0002908882086657216 rad | '' 4.84813681109536e-06 rad | gon 0.015707963267948967 rad
[pi] 3.141592653589793 1 | circ 6.283185307179586 rad | 10* 10 1 | 10^ 10 1 | % 0.01 1 | [ppth] 0.001 1
[ppm] 1e-06 1 | [ppb] 1e-09 1 | [pptr] 1e-12 1 | atm 101325 Pa | [in_i] 0.0254 m | [ft_i] 0.3048 m
[yd_i] 0.9144 m | [mi_i] 1609.344 m | [nmi_i] 1852 m | [kn_i] 0.5144444444444445 m/s | [lb_av] 453.59237 g
[oz_av] 28.349523125 g | [gal_us] 3.785411784 L | [lbf_av] 4.4482216152605 N | [psi] 6894.757293168 Pa
[HP] 745.69987158227 W | [Btu] 1055.05585262 J | [degR] 0.5555555555555556 K | [acr_us] 4046.872609874 m2
[in_i'Hg] 3386.388640341 Pa
"""
_MISTAKES = """
1: -, none, unitless, count, cycles, cycle, parts, pcs, ratio
Cel: °C, degC, deg C, celsius, Celsius, ℃, oC, cel | [degF]: °F, degF, fahrenheit, Fahrenheit, ℉
h: hr, hrs, hour, hours, H | s: sec, secs, second, seconds | V: volt | W: watt | A: ampere, amp
m: meter, metre | N: newton | Pa: pascal | J: joule | g: gram | L: liter, litre | Hz: hertz | B: bel
dB: decibel, dBA | min: mins, minute, minutes | d: day, days | mo: month, months | a: yr, year, years
{rev}/min: rpm, RPM, rev/min, r/min | [psi]: psi, psia, psig, PSI | Ohm: ohm, Ω, ohms | [lb_av]: lb, lbs, lbm
K: kelvin | [in_i'Hg]: inHg | mm[Hg]: mmHg | [ft_i]: ft | [in_i]: in, inch | [mi_i]/h: mph | km/h: kph, kmh
W.h: Wh | kW.h: kWh | MW.h: MWh | GW.h: GWh | A.h: Ah | mA.h: mAh | V.A: VA | kV.A: kVA | MV.A: MVA | [ppm]: ppm
[ppb]: ppb | [pH]: pH | [iU]: IU | %: percent | [HP]: hp | [gal_us]: gal | [lbf_av]: lbf | um: micron
/min: bpm | deg: degree, ° | {EUR}: EUR, € | {USD}: USD, $ | [gal_us]/min: gpm | L/min: lpm | [Btu]: BTU
"""


def _entries(text: str) -> list[str]:
    return [entry.strip() for line in text.strip().splitlines() for entry in line.split("|")]


def _atoms(text: str) -> dict[str, tuple[float, str]]:
    return {symbol: (float(factor), unit) for symbol, factor, unit in map(str.split, _entries(text))}


PREFIXES = {prefix: float(scale) for prefix, scale in map(str.split, _entries(_PREFIXES))}
METRIC, PLAIN = _atoms(_METRIC), _atoms(_PLAIN)  # atoms that take prefixes, and others
BASE = ("m", "s", "g", "rad", "K", "C", "cd", "B", "[pH]", "[iU]", "[arb'U]")  # UCUM's seven, and scales of their own
OFFSETS = {"Cel": (1.0, 273.15), "[degF]": (5 / 9, 459.67 * 5 / 9)}  # kelvin = factor · value + offset
MISTAKES = {
    wrong: right
    for right, _, all_wrong in (entry.partition(": ") for entry in _entries(_MISTAKES))
    for wrong in all_wrong.split(", ")
} | {"": "1"}
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
    if symbol == "ft":  # femtotonnes by the letter, feet by whoever writes it
        return None
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
