"""Guards against strangers' inputs: `limits` bounds what one may cost. Everything above may use them."""
