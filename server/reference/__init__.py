"""What describes the server: the documents for programs, and their readable pages."""
