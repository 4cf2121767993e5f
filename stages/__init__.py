"""The pipeline's stages: one module each, run as ``python -m stages NAME`` by ``dvc repro``.

A stage is thin: it reads files, calls the library, and writes files, all below one folder.
"""
