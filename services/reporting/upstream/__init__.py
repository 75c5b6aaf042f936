"""Other services' events, with only the fields that figures and alerts read."""
