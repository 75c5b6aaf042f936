"""What a user would take instead, doing the same jobs in the same rounds (`make bench PEERS=1`)."""
