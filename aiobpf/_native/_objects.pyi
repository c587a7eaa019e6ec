# The types of the objects written in C; the reasons stand in objects/*.c.
