"""What protects the people that a camera sees."""
