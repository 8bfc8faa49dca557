"""Make training scenes for the face detector."""
