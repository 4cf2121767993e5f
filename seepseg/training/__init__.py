"""Fitting networks: trainer, step, recipe, sampling, augmentation, monitoring, checkpoints, several processes.

What belongs here is used while networks are fitted, and by nothing that runs them afterwards.
"""
