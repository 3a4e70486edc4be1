"""How a reading comes about: from a trace, through what a sensor does to it, with noise that is addressed."""
