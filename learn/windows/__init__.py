"""What a model sees: windows of episodes, held, cut or rendered while it learns, and what is known of them."""
