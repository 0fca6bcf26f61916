"""What a decision problem is: transitions, horizon, the record, and what follows from its structure alone."""
