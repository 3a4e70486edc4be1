"""Configuration becomes typed objects, and whatever does not fit is refused by its key."""

import pytest

from experiments.build import build
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line.config import AgeReplacement, Station, Sudden


def station(**changes):
    cycle = {"_target_": "sim.laws.Lognormal", "mean_h": 1, "cv": 0.1}
    return {"_target_": "sim.line.config.Station", "cycle": cycle} | changes


def test_nodes_become_objects_and_ints_floats():
    policy = {"_target_": "sim.line.config.AgeReplacement", "age_h": 3}
    built = build({"stations": [station(policy=policy), station(sudden=None)]})
    assert built["stations"][0] == Station(Lognormal(1.0, 0.1), policy=AgeReplacement(3.0))
    assert isinstance(built["stations"][0].cycle.mean_h, float)


def test_lists_become_the_declared_tuples():
    task = {"_target_": "learn.tasks.TimeToEvent", "causes": ["wear"], "edges_h": [12, 24]}
    assert build(task).edges_h == (12.0, 24.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lod": 2}, r"w\.lod is unknown to Station; did you mean load\?"),
        ({"load": "high"}, r"w\.load is 'high'; it must be a number"),
        ({"load": True}, r"w\.load is true; it must be a number"),
        ({"load": None}, r"w\.load is null; it must be a number"),
        ({"load": -1}, r"w\.load is -1\.0; it must be above 0"),
        ({"machines": 1.5}, r"w\.machines is 1\.5; it must be a whole number"),
        ({"cycle": 3}, r"w\.cycle is 3; it must be a Law"),
        ({"sudden": 3}, r"w\.sudden is 3; it must be a Sudden .*, or null"),
        ({"policy": "none"}, r"w\.policy is 'none'; it must be RunToFailure or AgeReplacement or WearThreshold"),
        ({"cycle": {"_target_": "sim.laws.Lognormal", "mean_h": 1}}, r"w\.cycle\.cv is missing; Lognormal needs it"),
        (
            {"cycle": {"_target_": "sim.laws.Normal"}},
            r"w\.cycle\._target_ is 'sim\.laws\.Normal', which does not exist",
        ),
        ({"cycle": {"_target_": "nowhere.Law"}}, r"w\.cycle\._target_ is 'nowhere\.Law', which does not exist"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(changes, message):
    with pytest.raises(InputError, match=message):
        build(station(**changes), "w")


def test_all_that_is_of_another_is_named_with_what_leaves_it_out():
    said = "model.patch and model.skip are unknown to Linear; it takes nothing; leave out .*: ~model.patch ~model.skip$"
    with pytest.raises(InputError, match=said):
        build({"_target_": "learn.models.linear.Linear", "patch": 24, "skip": True}, "model")


def test_a_nested_choice_is_checked():
    sudden = {"_target_": "sim.line.config.Sudden", "life": {"_target_": "sim.laws.Exponential", "mean_h": 9}}
    assert build(station(sudden=sudden)).sudden == Sudden(Exponential(9.0))
    with pytest.raises(InputError, match=r"w\.sudden\.clock is 'sundial'; it must be one of 'operation', 'time'"):
        build(station(sudden=sudden | {"clock": "sundial"}), "w")


@pytest.mark.parametrize("twin", ["line.LineTwin", "factory.FactoryTwin", "quality.QualityTwin"])
def test_a_twin_of_another_world_is_refused_in_few_words(twin):
    house = {"_target_": "sim.house.House"}
    with pytest.raises(InputError, match=r"^twin\.world is a House; it must be a (Line|Factory|Inspected) \("):
        build({"_target_": f"twins.{twin}", "world": house}, "twin")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_h": "often"}, r"source\.step_h is 'often'; it must be a number, or null"),
        ({"columns": ["a"]}, r"source\.columns is \['a'\]; it must be a mapping"),
        ({"columns": {"a": {"quantity": 5}}}, r"quantity is 5; it must be text"),
        ({"columns": {"a": {"low": float("nan")}}}, r"low is nan; it must be a finite number"),
        ({"epoch": "yesterday"}, r"source\.epoch is 'yesterday'; it must be a date and time"),
    ],
)
def test_the_fields_that_a_class_inherits_are_checked_too(changes, message):
    with pytest.raises(InputError, match=message):
        build({"_target_": "experiments.source.Observed", "path": "a.csv", "time": "t"} | changes, "source")
