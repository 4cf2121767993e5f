"""What is measured, not asserted: `make bench` writes results.json, RESULTS.md and results.png in this folder."""
