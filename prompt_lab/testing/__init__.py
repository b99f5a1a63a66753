"""The contract that every paradigm keeps, as functions that a user can run on a paradigm of their own."""
