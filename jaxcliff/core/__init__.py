"""What knows no decision problem: records, numbers, labels, checks, devices, the loop of every fixed point."""
