"""What deploys and releases the service."""
