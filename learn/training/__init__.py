"""How it learns: losses, the step, the loop around it, checkpoints, and which device holds what."""
