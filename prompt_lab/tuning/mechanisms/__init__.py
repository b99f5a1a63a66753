"""How prompts stand in several layers: keys and values in front, or hidden states at virtual tokens."""
