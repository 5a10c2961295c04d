"""`--where`: its grammar, its conditions, and LlamaIndex filters made of them."""
