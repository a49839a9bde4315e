"""What `make bench` runs: each module prints ours, the peer's and the ratio, measured side by side."""
