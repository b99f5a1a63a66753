"""Pretraining objectives: where prompts come from, and how an encoder becomes promptable."""
