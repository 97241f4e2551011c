"""Traffic: requests as they arrive, with what is known of their prompts."""
