"""What must work on which kernel, and what the tests saw there: the table of docs/kernels.md."""
