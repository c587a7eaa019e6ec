"""How cost grows with size: the same work on inputs from small to large, each made by a rule."""
