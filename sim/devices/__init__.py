"""Medical devices that patients share: infusion pumps and ventilators that wear with use, alarm, fail and are renewed.

Research only, not for clinical use.

Signals of a trace, all steps: of each device "phase", "wear" (a fraction of what it fails at), "load" (how hard the
present patient makes it work, 0 where there is none) and "alarms" (so far); of "engineers" "waiting" (devices).

Events of a device: "use" (value: the load) and "free", "alarm", "failure" (cause: "wear" or "sudden"), "planned" (it is
taken out for service), "renewal" (cause: "repair" or "service"), "action".
"""

from sim.devices.config import PUMP, VENTILATOR, Kind
from sim.devices.devices import Devices
from sim.devices.state import Phase, Service, State

__all__ = ["PUMP", "VENTILATOR", "Devices", "Kind", "Phase", "Service", "State"]
