"""From a scene to classified slicks: test-time augmentation, candidates, features, classifier, the `Detector`."""
