"""A low-voltage feeder as its operator sees it: the transformer through its sensors, the street through its meters.

Sample k of a power, a current or a voltage is of the means over the interval that begins at its time, and missing until
that is over; all voltages and currents of a run come from one batched AC flow. An instant at which the flow does not
converge is missing in every channel that needs it, and an event "unsolved" of the bus that gave way first names it.
"""

from twins.feeder.meters import MeterTwin
from twins.feeder.transformer import TransformerTwin

__all__ = ["MeterTwin", "TransformerTwin"]
