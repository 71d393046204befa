"""The ground: event types, their codec, the log's port, the fan-out. Imports no other package."""
