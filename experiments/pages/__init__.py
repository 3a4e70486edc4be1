"""What a person is shown: figures, verdicts and captions, and the templates of every page."""
