"""What aiobpf is measured beside, each a program of its own with pinned versions."""
