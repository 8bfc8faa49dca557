"""The drawn person of the `demo:` source."""
