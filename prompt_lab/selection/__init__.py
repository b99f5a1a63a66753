"""What of a run is tested: which state of a fit, and which of several settings, chosen without the test."""
