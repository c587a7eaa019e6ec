"""The eleven registers."""

from __future__ import annotations

from enum import IntEnum


class Register(IntEnum):
    """R0 holds what a call returns, R1 to R5 its arguments, R6 to R9 survive it; R10 is the frame, read-only."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10


R0 = Register.R0
R1 = Register.R1
R2 = Register.R2
R3 = Register.R3
R4 = Register.R4
R5 = Register.R5
R6 = Register.R6
R7 = Register.R7
R8 = Register.R8
R9 = Register.R9
R10 = Register.R10
