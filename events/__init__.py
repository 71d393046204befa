"""The ground: event types, their codec, the log's port and the fan-out. Imports no other package."""
