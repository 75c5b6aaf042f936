"""How Houqin is put to work: on one machine (local) or on a cluster (k8s)."""
