"""Homes: what households and businesses on a street draw and feed in, under one weather, by one calendar."""

from sim.homes.calendar import Calendar
from sim.homes.config import Appliance, Business, Chargers, Day, Fridge, Group, HeatPump, Household
from sim.homes.process import CHARGERS, WEATHER, Homes
from sim.homes.state import Call, Phase, State
from sim.homes.weather import AHEAD, Clouds, Weather

__all__ = [
    "AHEAD",
    "CHARGERS",
    "WEATHER",
    "Appliance",
    "Business",
    "Calendar",
    "Call",
    "Chargers",
    "Clouds",
    "Day",
    "Fridge",
    "Group",
    "HeatPump",
    "Homes",
    "Household",
    "Phase",
    "State",
    "Weather",
]
