"""Twins in closed loop: environments, policies, what happens costs, and a search for what earns most."""
