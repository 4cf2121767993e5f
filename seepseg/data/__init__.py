"""Tiles after ingest: packed arrays and their manifest, scenes stitched from tiles, splits, batches, input channels."""
