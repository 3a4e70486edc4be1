"""Hyperparameters by search: a space, its trials, and what they came to."""
