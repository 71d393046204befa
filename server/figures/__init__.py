"""How the server is: health, metrics, the dashboard's layers and checks, and the log's lines."""
