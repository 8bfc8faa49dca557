"""What clients see of the run: `hub` hands out results, `images` makes JPEGs of frames, `history` sums up seconds."""
