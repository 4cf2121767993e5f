"""What every other package stands on and what knows nothing of slicks: errors, parameters, files, devices."""
