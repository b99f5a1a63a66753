"""What goes on beside the runs: dashboards over them, uploads of those made offline, and sweeps."""
