"""A trained model in use: asked of windows, beside a plant that runs, and as a file that needs none of this."""
