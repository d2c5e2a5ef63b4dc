"""The pure tables of the storage layer."""
