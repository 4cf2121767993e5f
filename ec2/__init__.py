"""Runs on EC2: a machine that works off one `dvc` command, and what the laptop does about it."""
