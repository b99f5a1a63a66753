"""Few-shot data: sampling, cleaning, encoding, and the data module that all paradigms share."""
