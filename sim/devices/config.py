"""What kinds of devices there are: how they are used, wear, alarm, fail and are mended."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import require
from sim.laws import Exponential, Law, Lognormal
from sim.wear import Wear, Wiener


@dataclass(frozen=True)
class Kind:
    """So many alike devices, each with one patient at a time. Lives, of wear as sudden, count hours of use.

    Alarms come by chance at *alarms_per_h* of use while a device is new, and the more the further it has worn:
    1 + alarm_gain · wear² times as many. Those that patients bring about (a kinked line, a cough) are among them.
    """

    name: str = "pump"
    count: int = 4
    use: Law = Lognormal(30.0, 0.8)  # hours with one patient
    idle: Law = Lognormal(6.0, 0.7)  # hours from one patient to the next: cleaning, storage
    load: Law = Lognormal(1.0, 0.3)  # how hard a patient makes it work, a pure number of mean 1; wear goes with it
    wear: Wear | None = Wiener(1 / 900, 0.006, levels=40, spread_cv=0.25)
    sudden: Law | None = Exponential(4000.0)
    alarms_per_h: float = 0.04
    alarm_gain: float = 8.0
    repair: Law = Lognormal(24.0, 0.6)
    service: Law = Lognormal(4.0, 0.4)
    service_every_h: float = math.inf  # hours of use after which it is taken out when its patient is done

    def __post_init__(self):
        require(bool(self.name) and "/" not in self.name, self, "name", "not empty, and without a slash")
        require(1 <= self.count <= 10_000, self, "count", "between 1 and 10000")
        require(self.load.mean_h < 100, self, "load", "a law of a mean below 100")
        require(0 <= self.alarms_per_h <= 60, self, "alarms_per_h", "between 0 and 60")
        require(0 <= self.alarm_gain <= 1000, self, "alarm_gain", "between 0 and 1000")
        require(self.service_every_h > 0, self, "service_every_h", "above 0")

    def alarm_rate(self, wear: float) -> float:
        """Alarms an hour of use."""
        return self.alarms_per_h * (1 + self.alarm_gain * wear**2)


PUMP = Kind()
VENTILATOR = Kind(
    "ventilator",
    2,
    use=Lognormal(100.0, 0.9),
    idle=Lognormal(12.0, 0.7),
    wear=Wiener(1 / 2000, 0.005, levels=40, spread_cv=0.2),
    sudden=Exponential(8000.0),
    alarms_per_h=0.3,
    alarm_gain=4.0,
    repair=Lognormal(48.0, 0.6),
)
