"""What happens to the action values of a state: selections, regularised maxima, divergences."""
