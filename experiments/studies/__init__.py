"""One experiment over a grid of points: the grid, its runs, and the laws that they follow."""
