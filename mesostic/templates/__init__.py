"""What `mesostic init` writes: a first framework, complete and running. Its files are read as text, and tested as they are."""
