"""What Trunkline costs, and how it stands beside its peers. Nothing here runs in CI."""
