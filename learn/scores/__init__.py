"""How good it is: scores between two marks, by task, and how far what a model claims can be relied on."""
