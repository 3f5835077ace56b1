"""Rate limits by the library `limits`: in this process, or in a Redis or Valkey for several."""
