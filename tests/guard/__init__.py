"""What CI holds fast: instructions, allocations, system calls, hops and turns of the event loop, with their bounds.

Each is counted, not timed, so that a regression shows on a machine that others use too.
"""
