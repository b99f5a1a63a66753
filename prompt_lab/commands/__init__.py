"""The commands of `prompt-lab`, one a file."""
