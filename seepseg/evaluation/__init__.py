"""Scores and curves: counts of pixels and objects, intervals over scenes."""
