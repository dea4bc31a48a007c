"""From finished picture to finished picture."""
