"""Backbones whose weights arrive with a package, or are made on the spot: no hub is needed."""
