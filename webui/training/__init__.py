"""Making models: training them, and writing them to files that other programs read too."""
