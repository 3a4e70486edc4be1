"""The world re-run from a moment: what can be known of it, what would have been, what each plan would come to."""
