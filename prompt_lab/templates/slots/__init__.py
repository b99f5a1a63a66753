"""What may stand between braces in a pattern: one mechanism a file."""
