"""The bytes of a video: the parts of its container, the parameters of its frames, and where these change."""
