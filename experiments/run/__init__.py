"""One run of an experiment, from its data to scores; several seeds of it as one; several presets in one model."""
