"""Starting points: what `prompt-lab new` writes, for a paradigm, a tuning or a task of a user's own."""
