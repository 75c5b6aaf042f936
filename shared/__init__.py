"""What every service stands on: the words of a domain file, the log, the wire, the edge."""
