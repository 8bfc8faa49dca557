"""Train an emotion network."""
