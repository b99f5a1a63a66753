"""Sweeps: files in W&B's format, and a local search that reads the same files."""
