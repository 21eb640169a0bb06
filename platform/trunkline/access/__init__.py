"""The one way in and out, for the gateway and for the client that needs none: commit, then wake; and follow a run."""
