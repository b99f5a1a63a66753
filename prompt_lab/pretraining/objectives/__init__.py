"""Pretraining objectives, one a file."""
