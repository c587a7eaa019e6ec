"""What is measured, one kind of case a file."""
