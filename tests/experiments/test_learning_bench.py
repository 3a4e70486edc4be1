"""The PyTorch program that the bench runs beside ours is the same model, and is trained by the same steps."""

import numpy as np
import pytest
from hydra import compose, initialize_config_module

pytest.importorskip("torch")

from bench.learning import Ours, Theirs, training_set
from experiments.experiment import Experiment


def test_pytorch_has_the_same_losses_step_by_step():
    with initialize_config_module("conf", version_base=None):
        bench = Experiment.of(compose("bench"))
    windows, picked = training_set(bench)
    picked = [at[:8] for at in picked]
    ours = Ours(bench, windows, picked, 4).losses()
    np.testing.assert_allclose(Theirs(bench, windows, picked, 8).run(), ours, rtol=1e-5)
    assert abs(ours[1] - ours[0]) > 1e-3 * ours[0]
