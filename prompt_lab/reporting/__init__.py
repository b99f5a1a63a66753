"""Records, cost, scores, tables, pictures and W&B."""
