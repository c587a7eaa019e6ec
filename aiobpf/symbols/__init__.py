"""What functions are called: names that compilers mangle, as people wrote them."""
