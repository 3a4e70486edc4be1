"""The entities of a trace of a feeder that are no homes, and the buses that lie around its transformer."""

TRANSFORMER, FEEDER, BATTERY = "transformer", "feeder", "battery"
BUSBAR, SUPPLY = "busbar", "supply"  # of the low and of the medium voltage
