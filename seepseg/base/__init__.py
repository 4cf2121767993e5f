"""What every other package stands on: errors, parameters, files that are there whole or not at all, tensors, devices.

What belongs here knows nothing of SAR images, slicks or networks, and two packages need it.
"""
