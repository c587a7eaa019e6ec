from __future__ import annotations


def format_instruction(ins):
    return repr(ins)
