"""Fitting networks: recipe, step, crops, augmentation, optimiser, monitoring, checkpoints, several processes."""
