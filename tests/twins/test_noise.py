"""Philox against known answers, the map to normals against a second implementation, and the laws of every part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.trace import Signal
from twins.sensors import kernels
from twins.sensors.noise import Noise, address, log_likelihood
from twins.sensors.render import sweep

ZERO = Signal.step([0.0], [0.0])
N = 1 << 22
f32 = np.float32


def draw(seed=1, quantity="v", count=N, first=0):
    white, innovation, chance = np.empty(count, f32), np.empty(count, f32), np.empty(count, np.uint32)
    kernels.draw(first, np.uint64(0), address(seed, "m1", quantity), white, innovation, chance)
    return white, innovation, chance


def autocorrelated(seed, start, count, correlation=10.0):
    noise = Noise(autocorrelated=1.0, correlation_h=correlation)
    return sweep(ZERO, 1.0, noise, address(seed, "m1", "v"), start, count).astype(np.float64)


# Random123, kat_vectors, philox4x32 with 10 rounds: counter, key, answer
KNOWN = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, answer):
    words = kernels.philox(*(np.uint64(word) for word in (*counter, *key)))
    assert tuple(int(word) & 0xFFFFFFFF for word in words) == answer


def philox_by_the_paper(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


word = st.integers(0, 2**32 - 1)


@settings(max_examples=50)
@given(st.tuples(word, word, word, word), st.tuples(word, word))
def test_philox_equals_a_plain_implementation(counter, key):
    words = kernels.philox(*(np.uint64(word) for word in (*counter, *key)))
    assert [int(word) & 0xFFFFFFFF for word in words] == philox_by_the_paper(counter, key)


def normals_in_numpy(w0, w1):
    """The written map once more, in NumPy's float32: whoever has IEEE arithmetic can draw the same."""
    u = (w0.astype(f32) + f32(0.5)) * f32(2.0**-32)
    bits = u.view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> 23
    m = (bits - (exponent << 23)).view(f32)
    s = (m - f32(1)) / (m + f32(1))
    z = s * s
    p = (((f32(2 / 9) * z + f32(2 / 7)) * z + f32(2 / 5)) * z + f32(2 / 3)) * z + f32(2)
    r = np.sqrt(f32(-2) * (exponent.astype(f32) * f32(np.log(2)) + s * p))
    a = (w1 << np.uint32(2)).view(np.int32).astype(f32) * f32(np.pi / 2 * 2.0**-32)
    z = a * a
    p = (f32(-1.9515295891e-4) * z + f32(8.3321608736e-3)) * z + f32(-1.6666654611e-1)
    sin = a + a * (z * p)
    p = (f32(2.443315711809948e-5) * z + f32(-1.388731625493765e-3)) * z + f32(4.166664568298827e-2)
    cos = (z * z * p - f32(0.5) * z) + f32(1)
    quadrant = w1 >> 30
    return r * np.choose(quadrant, [cos, -sin, -cos, sin]), r * np.choose(quadrant, [sin, cos, -sin, -cos])


def words(seed, count):
    key_0, key_1, c2, c3 = (int(word) for word in address(seed, "m1", "v"))
    return np.array([philox_by_the_paper((k, 0, c2, c3), (key_0, key_1)) for k in range(count)], np.uint32)


def test_the_map_to_normals_is_as_written_bit_for_bit():
    w = words(3, 3000)
    white, innovation, chance = draw(seed=3, count=3000)
    first, second = normals_in_numpy(w[:, 0], w[:, 1])
    assert np.array_equal(white, first)
    assert np.array_equal(innovation, second)
    assert np.array_equal(chance, w[:, 2])
    assert all(kernels.innovation_at(k, np.uint64(0), address(3, "m1", "v")) == second[k] for k in range(100))


def test_the_map_is_accurate_at_its_corners():
    corners = np.array([0, 1, 2, 2**31, 2**32 - 1, 2**32 - 2**8, 3037000500], np.uint32)
    for w0 in corners:
        for w1 in corners:
            r = np.sqrt(-2 * np.log((float(w0) + 0.5) * 2.0**-32))
            turn = (int(w1) >> 30) + float(np.uint32(int(w1) << 2 & 0xFFFFFFFF).view(np.int32)) * 2.0**-32
            x, y = kernels.normal_pair(w0, w1)
            # Near u = 1 float32 resolves the radius, there below √2⁻²³, no better than this.
            near = 3e-4 if w0 > 2**31 + 1 else 2e-6
            assert (x, y) == pytest.approx((r * np.cos(turn * np.pi / 2), r * np.sin(turn * np.pi / 2)), abs=near)


def ks(x):
    return stats.kstest(x, "norm").statistic * np.sqrt(len(x))


def test_normals_are_normal_to_five_sigma():
    for x in draw()[:2]:
        x = np.float64(x)
        assert abs(x.mean()) < 4 / np.sqrt(N)
        assert abs(x.var() - 1) < 4 * np.sqrt(2 / N)
        assert abs((x**3).mean()) < 4 * np.sqrt(15 / N)
        assert abs((x**4).mean() - 3) < 4 * np.sqrt(96 / N)
        assert ks(x) < 1.95  # p = .001
        for sigma in (3.0, 4.0, 4.5, 5.0):
            assert abs((abs(x) > sigma).sum() - (mean := 2 * stats.norm.sf(sigma) * N)) < 4 * np.sqrt(mean)
    assert ks(x * 1.005) > 1.95, "a scale half a percent off must not pass"


def test_runs_channels_parts_and_neighbours_are_independent():
    (a, b, c), (other, _, _), (d, _, _) = draw(), draw(quantity="w"), draw(seed=2)
    pairs = {
        "parts": (a, b), "channels": (a, other), "runs": (a, d), "lag": (a[1:], a[:-1]), "chance": (a, c / 2**31 - 1.0),
        "squares": (a**2 - 1, b**2 - 1), "lagged squares": (a[1:] ** 2 - 1, b[:-1] ** 2 - 1),
    }  # fmt: skip
    for name, (x, y) in pairs.items():
        assert abs(np.corrcoef(x, y)[0, 1]) < 4.5 / np.sqrt(N), name
    assert abs(np.corrcoef(a, other + f32(0.01) * a)[0, 1]) > 4.5 / np.sqrt(N), "one percent of leakage must not pass"


SEAM = kernels.BLOCK


def covariance(paths):
    return paths.T @ paths / len(paths)


def test_autocorrelated_noise_has_the_law_of_the_process_across_a_seam():
    near = np.r_[-5:6]
    paths = np.array([autocorrelated(seed, SEAM - 5, 11) for seed in range(20000)])
    wanted = np.exp(-abs(near[:, None] - near) / 10)
    # Wishart: var of an entry is (c_ii c_jj + c_ij²) / n
    z = (covariance(paths) - wanted) / np.sqrt((1 + wanted**2) / len(paths))
    assert abs(z).max() < 4.5
    broken = np.hstack([paths[:-1, :5], paths[1:, 5:]])  # every block for itself
    assert abs((covariance(broken) - wanted) / np.sqrt((1 + wanted**2) / len(broken))).max() > 4.5


def test_autocorrelated_noise_is_stationary_with_its_autocorrelation():
    x = np.array([autocorrelated(seed, 0, 1 << 18) for seed in range(8)])
    n = x.size / 10  # about so many independent values
    for lag in (0, 1, 2, 5, 10, 30):
        found = np.mean(x[:, lag:] * x[:, : x.shape[1] - lag])
        assert found == pytest.approx(np.exp(-lag / 10), abs=4.5 * np.sqrt(2 / n))
    innovations = x[:, 1:] - np.exp(-0.1) * x[:, :-1]
    within = 1 - np.exp(-0.2)
    by_place = np.array([innovations[:, place::SEAM].var() for place in range(SEAM)])
    assert abs(by_place - within).max() < 5 * within * np.sqrt(2 / (x.size / SEAM))
    assert ks(innovations.ravel() / np.sqrt(within)) < 1.95


@pytest.mark.parametrize("correlation", [1e-6, 1e6])
def test_autocorrelated_noise_has_its_limits(correlation):
    x = autocorrelated(1, 3000, 1 << 16, correlation)
    steps = np.diff(x)
    assert steps.var() == pytest.approx(2 * -np.expm1(-1 / correlation), rel=0.05)


def test_drift_is_linear_between_knots_of_the_stated_spread():
    noise = Noise(drift=2.0, drift_knot_h=16.0)
    x = sweep(ZERO, 1.0, noise, address(1, "m1", "v"), 0, 1 << 16).astype(np.float64).reshape(-1, 16)
    assert x[:, 0].std() == pytest.approx(2.0, rel=0.05)
    assert abs(np.diff(x, 2, axis=1)).max() < 1e-5
    assert np.diff(x, axis=1)[:-1, 0] == pytest.approx((x[1:, 0] - x[:-1, 0]) / 16, abs=1e-5)


def test_quantum_and_dropout():
    noise = Noise(white=1.0, quantum=0.25, dropout=0.03)
    at = address(1, "m1", "v")
    x = sweep(ZERO, 1.0, noise, at, 0, 1 << 20)
    missing = np.isnan(x)
    assert missing.mean() == pytest.approx(0.03, abs=4.5 * np.sqrt(0.03 / x.size))
    assert np.array_equal(x[~missing] % 0.25, np.zeros((~missing).sum()))
    fine = sweep(ZERO, 1.0, Noise(white=1.0), at, 0, 1 << 20)
    assert abs(x - fine)[~missing].max() <= 0.125


def test_readings_have_the_likelihood_they_are_drawn_from():
    noise = Noise(white=0.4, quantum=0.25, dropout=0.03)
    x = sweep(Signal.step([0.0], [1.1]), 1.0, noise, address(1, "m1", "v"), 0, 1 << 20)
    grid = np.arange(-3, 5, 0.25)
    p = np.exp(log_likelihood(noise, 1.1, grid))
    assert p.sum() + np.exp(log_likelihood(noise, 1.1, np.nan)) == pytest.approx(1, abs=1e-9)
    seen = np.array([(x == f32(value)).mean() for value in grid])
    assert abs(seen - p).max() < 4.5 * np.sqrt(0.25 / x.size)
    far = log_likelihood(noise, 0.0, np.array([20.0, -20.0]))
    assert np.isfinite(far).all()
    assert far[0] == pytest.approx(far[1])


def test_likelihoods_without_a_quantum_or_white_noise():
    y = np.array([0.1, np.nan])
    assert log_likelihood(Noise(white=0.4), 0.0, y, offset=0.3) == pytest.approx(
        [stats.norm.logpdf(0.1, 0.3, 0.4), -np.inf]
    )
    assert log_likelihood(Noise(quantum=0.5), 0.6, np.array([0.5, 1.0])).tolist() == [0, -np.inf]
    with pytest.raises(InputError, match=r"Noise\.white"):
        log_likelihood(Noise(), 0.0, y)


@pytest.mark.parametrize("bad", [{"white": -1}, {"correlation_h": 0}, {"dropout": 1.0}, {"drift": float("nan")}])
def test_nonsense_is_refused_by_name(bad):
    with pytest.raises(InputError, match=f"Noise.{next(iter(bad))}"):
        Noise(**bad)
