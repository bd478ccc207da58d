"""Trainings that are compared: folds and seeds."""
