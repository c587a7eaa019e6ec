"""The way of BCC's Python module, without BCC: ctypes over libbpf.so, a Python callback for each record.

BCC itself compiles C at run time and needs the kernel's headers; what it does with records and elements is this.
"""
