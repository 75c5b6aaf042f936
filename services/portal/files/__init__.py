"""Photos, signatures and documents 附件: sent in pieces, kept by their SHA-256, shown to whoever
holds a post at the unit for which they were sent, or above it.

`content` what bytes may be stored · `blobs` where they lie · `ledger` whose they are · `routes` how
they come and go · `named` which of them a command names.
"""
