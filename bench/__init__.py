"""How fast the platform is, side by side with what the same machine can do at best."""
