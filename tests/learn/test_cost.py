"""The stopwatch, the count of operations and the estimate of energy."""

import jax
import jax.numpy as jnp
import pytest

from learn.cost import Cost, Power, flops
from sim.errors import InputError


def test_a_matrix_product_costs_two_operations_a_term():
    a, b = jnp.ones((64, 128)), jnp.ones((128, 32))
    assert flops(jnp.matmul, a, b) == 2 * 64 * 128 * 32
    assert flops(jax.jit(jnp.matmul), a, b) == 2 * 64 * 128 * 32


def test_stages_of_one_name_add_up():
    cost = Cost(Power(core_w=36.0))
    for _ in range(2):
        with cost.stage("work"):
            sum(range(10**6))
    with pytest.raises(KeyError), cost.stage("broken"):
        raise KeyError
    cost.add_flops("work", 5.0)
    report = cost.report()
    work = report["stages"]["work"]
    assert set(report["stages"]) == {"work", "broken"}
    assert min(work["core_seconds"], work["seconds"]) > 0
    assert work["energy_wh"] == pytest.approx(work["core_seconds"] * 36 / 3600)
    assert report["total"]["flops"] == 5.0
    assert 0 < report["peak_memory_gb"] < 1000


def test_energy_is_watts_times_hours():
    assert Power(10, 400).energy_wh(core_seconds=3600, accelerator_seconds=1800) == 210
    with pytest.raises(InputError, match=r"Power.core_w is -1; it must be 0 or more watts"):
        Power(core_w=-1)
