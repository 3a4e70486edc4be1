"""Plants outside the packages. A package of its own, so that no other of this name comes before it."""
