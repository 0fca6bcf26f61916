"""Reward → reward: families of perturbations around a reward."""
