"""How a service becomes processes: what is made once, what they serve, how they are started."""
