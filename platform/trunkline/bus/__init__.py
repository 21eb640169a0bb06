"""NATS: connection, topology, publishing, consuming. The only importer of nats and faststream."""
